from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from gateway_batch.spark.ledger.driver_delta_writer import write_file
from gateway_batch.usage.arrow import SCHEMA, usage_rows
from gateway_batch.usage.record import EndpointMetadata, RoutingAttempt, RoutingInformation, UsageRecord, columns
from gateway_batch.usage.segment import Kind, encode, line_of

from .samples import answered

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_the_schema_has_the_columns_of_the_table() -> None:
    assert SCHEMA.names == [name for name, _ in columns(UsageRecord)]
    assert SCHEMA.field("request_tags").type == pa.map_(pa.string(), pa.string())
    assert SCHEMA.field("status_code").type == pa.int32()


def test_an_outcome_is_a_row_whatever_its_columns_hold() -> None:
    record = answered("a")
    record.event_time = NOON
    record.endpoint_metadata = EndpointMetadata(creator="ana", creation_time=NOON)
    record.routing_information = RoutingInformation(attempts=(RoutingAttempt(status_code=200, end_time=NOON),))
    assert record.client_metadata is not None
    record.client_metadata.other_usage = {"cost": "0.10"}
    (row,) = usage_rows([encode(Kind.OUTCOME, record)]).to_pylist()
    assert row["client_metadata"]["other_usage"] == [("cost", "0.10")]
    assert row["event_time"] == NOON
    assert row["endpoint_metadata"]["creation_time"] == NOON
    assert row["routing_information"]["attempts"][0]["end_time"] == NOON
    assert row["routing_information"]["attempts"][0]["start_time"] is None
    assert row["request_tags"] == [("team", "search")]
    assert row["client_metadata"]["event_id"] == "a"


def test_a_value_that_its_column_cannot_hold_is_null_and_keeps_no_other_row_away() -> None:
    """As from a version with a mistake: its checksum holds."""
    good, odd = answered("good"), answered("odd")
    odd.total_tokens, odd.input_tokens, odd.event_time = 2**70, 7, "noon"  # type: ignore[assignment]
    lines = [line_of(Kind.OUTCOME, vars(good)), _of_json(vars(odd)), _of_json([1]), _of_text(b"{")]
    rows = usage_rows(lines).to_pylist()
    assert [row["client_metadata"]["event_id"] for row in rows] == ["good", "odd"]
    assert [(row["total_tokens"], row["input_tokens"], row["event_time"]) for row in rows][1] == (None, 7, None)


def _of_json(content: object) -> bytes:
    return _of_text(json.dumps(content, default=vars).encode())


def _of_text(text: bytes) -> bytes:
    body = b"O " + text
    return b"%08x %b\n" % (zlib.crc32(body), body)


def test_no_outcomes_are_no_rows() -> None:
    assert usage_rows([]).schema == SCHEMA


def test_a_file_of_several_batches_says_how_many_rows_it_has_and_of_what_times(tmp_path: Path) -> None:
    batches = []
    for name, at in (("a", NOON), ("b", NOON - timedelta(hours=1)), ("c", None)):
        record = answered(name)
        record.event_time = at
        batches.append(usage_rows([encode(Kind.OUTCOME, record)]))
    file = write_file(batches, SCHEMA, tmp_path / "rows.parquet")
    assert file.rows == 3
    assert orjson.loads(file.statistics) == {
        "numRecords": 3,
        "minValues": {"event_time": "2026-01-02T11:00:00.123Z"},
        "maxValues": {"event_time": "2026-01-02T12:00:00.124Z"},
        "nullCount": {"event_time": 1},
    }
    assert pq.read_table(file.path).column("request_id").to_pylist() == ["a", "b", "c"]


def test_statistics_of_no_rows_hold_no_times(tmp_path: Path) -> None:
    file = write_file([SCHEMA.empty_table()], SCHEMA, tmp_path / "rows.parquet")
    assert orjson.loads(file.statistics) == {"numRecords": 0}
