"""How an invocation ended, by its HTTP status; SQL is the same in Spark and DuckDB."""

from __future__ import annotations

FAILED_FROM = 400
"""The least status of a failed invocation."""

FAILED = f"status_code >= {FAILED_FROM}"
"""It failed; NULL where the status is not known."""

ANSWERED = "status_code IS NOT NULL"
"""There is a status. Latencies are of such invocations only: those of others say when the caller gave up."""

UNKNOWN = "status_code IS NULL"
"""There is no status: nobody saw the answer. It is not a failed one."""

IS_FAILED = f"coalesce({FAILED}, false)"
"""`FAILED` as a column that is never NULL."""
