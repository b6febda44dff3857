"""How an invocation ended, by its HTTP status. Spark and DuckDB share this SQL."""

from __future__ import annotations

FAILED_FROM = 400
"""The lowest status of a failed invocation."""

FAILED = f"status_code >= {FAILED_FROM}"
"""The invocation failed; NULL where its status is unknown."""

ANSWERED = "status_code IS NOT NULL"
"""The invocation has a status. Only these have a latency: the others' times say when the caller gave up."""

UNKNOWN = "status_code IS NULL"
"""The invocation has no status, as nobody saw the answer. It does not count as failed."""

IS_FAILED = f"coalesce({FAILED}, false)"
"""`FAILED`, false instead of NULL."""
