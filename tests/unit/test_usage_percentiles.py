"""Percentiles of `gateway-batch usage` are of calls that were answered: the others' times say when we gave up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage_report import ALWAYS, key_of, place_of
from gateway_batch.usage_report.report import usage_report
from tests.usage_days import write_delta

AT = datetime(2026, 8, 3, 12, tzinfo=UTC)


def test_a_call_that_was_never_answered_has_no_part_in_them(tmp_path: Path) -> None:
    took = [(200, 100), (503, 200), (None, 60_000)]
    rows = [
        {name: None for name in SCHEMA.names}
        | {"event_time": AT, "request_id": f"r{latency_ms}", "status_code": status, "latency_ms": latency_ms}
        for status, latency_ms in took
    ]
    write_delta([pa.Table.from_pylist(rows, schema=SCHEMA)], tmp_path / "usage")
    total = usage_report(place_of(str(tmp_path / "usage"), tmp_path), key_of("endpoint"), ALWAYS).total
    assert (total.requests, total.failed_requests, total.unknown_requests) == (3, 1, 1)
    assert total.latency_p50_ms == 150
