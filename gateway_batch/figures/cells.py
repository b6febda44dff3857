"""Columns of the base views `usage_cells` and `usage_distributions`, and of the tables of the aggregate."""

from __future__ import annotations

from gateway_batch.figures.dimensions import DIMENSIONS, TAG, Column
from gateway_batch.figures.outcomes import FAILED_FROM
from gateway_batch.figures.percentiles import GROWTH

DAY = Column("day", "DATE", "UTC date; NULL for rows without a time.")
WEEKDAY = Column("weekday", "INT", "0 for Monday to 6 for Sunday, UTC.")
HOUR_OF_DAY = Column("hour_of_day", "INT", "0 to 23, UTC.")

TIMES = (
    Column("latency_ms", "DOUBLE", "Milliseconds to the end of the answer; NULL where there is no status."),
    Column("time_to_first_byte_ms", "DOUBLE", "Milliseconds to its first byte; NULL as latency_ms."),
)

_FOLLOWING = {
    "request_tags": (Column("is_tagged", "BOOLEAN", "Whether it has any."),),
    "status_code": (
        Column("is_answered", "BOOLEAN", "Whether there is a status."),
        Column("is_failed", "BOOLEAN", f"Whether it is {FAILED_FROM} or more."),
    ),
}
"""Flags derived from a dimension, which follow it."""

CELL = Column("cell", "BIGINT", "Hash of the dimensions, from workspace_id on; NULL for a row of the usage table.")

SUMS = (
    Column("input_tokens", "BIGINT", "Tokens of prompts, cached ones included; NULL where none are known, as the sums "
           "after it."),
    Column("output_tokens", "BIGINT", "Tokens of answers, reasoning included."),
    Column("total_tokens", "BIGINT", "Both."),
    Column("cache_read_input_tokens", "BIGINT", "Input tokens read from the provider's cache."),
    Column("cache_creation_input_tokens", "BIGINT", "Input tokens written to it."),
    Column("plain_input_tokens", "BIGINT", "Input tokens that were neither."),
    Column("output_reasoning_tokens", "BIGINT", "Output tokens of reasoning."),
)  # fmt: skip

CELLS = (
    DAY,
    *(column for each in DIMENSIONS for column in (each, *_FOLLOWING.get(each.name, ()))),
    CELL,
    Column("request_group", "STRING", "Requests whose invocations fall into the same cells, or the request_id; NULL "
           "for a row without one. The sums of a cell are in the row of those with a single invocation."),
    Column("requests", "BIGINT", "Requests of the group, the same number in each of its rows."),
    Column("invocations", "BIGINT", "Rows of the usage table."),
    Column("invocations_with_tokens", "BIGINT", "Of these, with tokens, so that they cost something."),
    *SUMS,
)  # fmt: skip
"""The columns of the view `usage_cells` and of the table `usage_daily`, in order."""

_BUCKETS = "ARRAY<STRUCT<bucket: INT, invocations: BIGINT>>"

SPREADS = (
    DAY,
    WEEKDAY,
    *DIMENSIONS,
    CELL,
    Column("invocations", "BIGINT", "Rows of the usage table."),
    Column("latencies", _BUCKETS, f"Invocations by latency: bucket b stands for {GROWTH} ** b milliseconds."),
    Column("first_bytes", _BUCKETS, "The same by time to the first byte."),
    Column("hours", _BUCKETS, "Invocations by hour of the UTC day."),
)
"""The columns of the table `usage_daily_distributions`, in order."""

MEANINGS = {column.name: column.meaning for column in (*CELLS, WEEKDAY, HOUR_OF_DAY, *TIMES, *TAG)}

_NOT_PRICED = {
    "invocations_with_tokens",
    "cache_creation_input_tokens",
    "plain_input_tokens",
    "output_reasoning_tokens",
}

PRICED = tuple(column for column in CELLS if column.name not in _NOT_PRICED)
"""The columns of `CELLS` that the view `usage_costs` keeps."""
