from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa

from gateway_batch.spark.delta_append import statistics
from gateway_batch.usage.arrow import SCHEMA, read_outcomes
from gateway_batch.usage.record import EndpointMetadata, RoutingAttempt, RoutingInformation, UsageRecord, columns
from gateway_batch.usage.segment import Kind, encode, header

from .samples import answered

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def segment(folder: Path, *lines: bytes) -> Path:
    path = folder / "writer-000000.1.log"
    path.write_bytes(header("writer") + b"".join(lines))
    return path


def test_the_schema_has_the_columns_of_the_table() -> None:
    assert SCHEMA.names == [name for name, _ in columns(UsageRecord)]
    assert SCHEMA.field("request_tags").type == pa.map_(pa.string(), pa.string())
    assert SCHEMA.field("status_code").type == pa.int32()


def test_an_outcome_is_a_row_whatever_its_columns_hold(tmp_path: Path) -> None:
    record = answered("a")
    record.event_time = NOON
    record.endpoint_metadata = EndpointMetadata(creator="ana", creation_time=NOON)
    record.routing_information = RoutingInformation(attempts=(RoutingAttempt(status_code=200, end_time=NOON),))
    (row,) = read_outcomes([segment(tmp_path, encode(Kind.OUTCOME, record))]).to_pylist()
    assert row["event_time"] == NOON
    assert row["endpoint_metadata"]["creation_time"] == NOON
    assert row["routing_information"]["attempts"][0]["end_time"] == NOON
    assert row["routing_information"]["attempts"][0]["start_time"] is None
    assert row["request_tags"] == [("team", "search")]
    assert row["client_metadata"]["event_id"] == "a"


def test_intents_and_damaged_lines_are_no_rows(tmp_path: Path) -> None:
    whole, damaged = (encode(Kind.OUTCOME, answered(event_id)) for event_id in "ab")
    intent = encode(Kind.INTENT, answered("c"))
    table = read_outcomes([segment(tmp_path, whole, damaged[:-9] + b"\n", intent)])
    assert [row["event_id"] for row in table["client_metadata"].to_pylist()] == ["a"]


def test_no_segments_are_no_rows() -> None:
    assert read_outcomes([]).schema == SCHEMA


def test_statistics_hold_the_range_of_times(tmp_path: Path) -> None:
    record = answered("a")
    record.event_time = NOON
    rows = read_outcomes([segment(tmp_path, encode(Kind.OUTCOME, record))])
    assert orjson.loads(statistics(rows)) == {
        "numRecords": 1,
        "minValues": {"event_time": "2026-01-02T12:00:00.123Z"},
        "maxValues": {"event_time": "2026-01-02T12:00:00.124Z"},
        "nullCount": {"event_time": 0},
    }


def test_statistics_of_no_rows_hold_no_times() -> None:
    assert orjson.loads(statistics(SCHEMA.empty_table())) == {"numRecords": 0}
