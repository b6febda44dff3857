"""A few calls in the columns that the dashboard's queries read, as temporary views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.types import DataType, StructType

from gateway_batch.figures.sessions import PARTS

DIMENSIONS = (
    "day DATE, workspace_id STRING, endpoint_name STRING, model STRING, requester STRING, "
    "request_tags MAP<STRING, STRING>, status_code INT, coding_agent STRING, is_subagent BOOLEAN, "
    "agent_framework STRING, smart_router STRING, is_mcp BOOLEAN, mcp_server_type STRING, mcp_method STRING, "
    "mcp_tool STRING, invocations BIGINT"
)
CELLS = (
    f"{DIMENSIONS}, is_tagged BOOLEAN, is_answered BOOLEAN, is_failed BOOLEAN, request_group STRING, requests BIGINT, "
    "input_tokens BIGINT, output_tokens BIGINT, total_tokens BIGINT, cache_read_input_tokens BIGINT"
)
VIEWS = {
    "usage_cells": CELLS,
    "usage_costs": f"{CELLS}, cost_usd DECIMAL(38, 12), unpriced_tokens BIGINT",
    "usage_distributions": f"{DIMENSIONS}, weekday INT, hour_of_day INT, latency_ms DOUBLE, "
    "time_to_first_byte_ms DOUBLE",
}

OF_SESSIONS = {
    "usage_session_parts": ", ".join(f"{column.name} {column.type}" for column in PARTS),
    "prices": "endpoint_name STRING, model STRING, valid_from TIMESTAMP, valid_to TIMESTAMP, "
    "input_usd_per_million DECIMAL(18, 6), output_usd_per_million DECIMAL(18, 6), "
    "cache_read_usd_per_million DECIMAL(18, 6), cache_creation_usd_per_million DECIMAL(18, 6), source STRING, "
    "added_at TIMESTAMP",
}
"""What the query of sessions reads instead."""

FIRST, LAST = date(2026, 11, 9), date(2026, 11, 15)
"""Monday to Sunday: the days that are asked for. The same call was made once on the day before, too."""


def call(**given: Any) -> dict[str, Any]:
    """A call, as its row in each of the views."""
    row: dict[str, Any] = {
        "day": FIRST, "workspace_id": "11", "endpoint_name": "chat", "model": "gpt-5-4", "requester": "ann@example.com",
        "request_tags": None, "status_code": 200, "coding_agent": None, "is_subagent": False,
        "agent_framework": None, "smart_router": None, "is_mcp": False, "mcp_server_type": None, "mcp_method": None,
        "mcp_tool": None, "invocations": 1, "requests": 1, "input_tokens": 80,
        "output_tokens": 20, "cache_read_input_tokens": 40, "cost_usd": Decimal("0.50"), "unpriced_tokens": 0,
        "hour_of_day": 9, "latency_ms": 100.0, "time_to_first_byte_ms": 10.0,
    } | given  # fmt: skip
    row |= {
        "is_tagged": bool(row["request_tags"]),
        "is_answered": row["status_code"] is not None,
        "is_failed": (row["status_code"] or 0) >= 400,
        "total_tokens": row["input_tokens"] + row["output_tokens"],
        "weekday": row["day"].weekday(),
    }
    return row


CALLS = [
    call(request_group="a", request_tags={"team": "search", "app": "it's 🙂"}),
    call(request_group="b", status_code=500, requester="bob@example.com", latency_ms=300.0, hour_of_day=17),
    call(request_group="c", status_code=None, requester="bob@example.com", model=None, cost_usd=None, input_tokens=0,
         output_tokens=0, cache_read_input_tokens=0, latency_ms=None, time_to_first_byte_ms=None),
    call(request_group="d", day=LAST, workspace_id="12", model="own-model", cost_usd=None, unpriced_tokens=100),
    call(request_group="e", coding_agent="claude code", endpoint_name="coding", cost_usd=Decimal("2.25"),
         is_subagent=True, agent_framework="langchain", smart_router="balanced"),
    call(request_group="f", is_mcp=True, endpoint_name="mcp-search", model=None, mcp_server_type="external",
         mcp_method="tools/call", mcp_tool="find", input_tokens=0, output_tokens=0, cost_usd=None),
    call(request_group="g", day=date(2026, 11, 8)),
    *(call(request_group=f"h{number}", day=LAST, endpoint_name=f"small-{number}", input_tokens=number,
           output_tokens=0, cost_usd=None, requester="eve@example.com") for number in range(1, 11)),
]  # fmt: skip


def session_part(minute: int, tokens: int, subagent: str | None = None, **given: Any) -> dict[str, Any]:
    """What a session of one call has on a day, so many minutes before or after the first day ends."""
    called = datetime(2026, 11, 10, tzinfo=UTC) + timedelta(minutes=minute)
    entry = {
        "client_subagent_id": subagent, "endpoint_name": "coding", "model": "gpt-5-4", "has_tokens": True,
        "input_tokens": tokens, "total_tokens": tokens, "plain_input_tokens": tokens,
    }  # fmt: skip
    return {
        "day": called.date(), "coding_agent": "codex", "requester": "ann@example.com", "started_at": called,
        "ended_at": called, "invocations": 1, "requests": 1, "failed_requests": 0, "tokens": [entry],
    } | given  # fmt: skip


SESSION_PARTS = [
    session_part(-15, 10**6),
    session_part(15, 10**6, "s1"),
    session_part(46, 5 * 10**6, requester=None),
    session_part(46, 10**5),
    session_part(75, 10**6, client_session_id="named", requester="bob@example.com"),
]
"""Of ann two sessions with 31 minutes in between, the first over midnight, and one each of bob and of nobody."""

PRICES = [
    {
        "endpoint_name": "coding", "input_usd_per_million": Decimal(2), "output_usd_per_million": Decimal(8),
        "valid_from": datetime(2026, 1, 1, tzinfo=UTC),
    }
]  # fmt: skip


@contextmanager
def rows_as_views(spark: SparkSession) -> Iterator[None]:
    """The calls in temporary views with the names of the real ones."""
    of_sessions = {"usage_session_parts": SESSION_PARTS, "prices": PRICES}
    for view, ddl in (VIEWS | OF_SESSIONS).items():
        schema = DataType.fromDDL(ddl)
        assert isinstance(schema, StructType)
        rows = [{name: row.get(name) for name in schema.names} for row in of_sessions.get(view, CALLS)]
        spark.createDataFrame(rows, schema).createOrReplaceTempView(view)
    yield
    for view in VIEWS | OF_SESSIONS:
        spark.catalog.dropTempView(view)
