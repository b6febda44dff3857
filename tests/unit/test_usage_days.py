from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.usage_days import usage_days, write_delta, write_parquet


@pytest.fixture(scope="module")
def week() -> pa.Table:
    return pa.concat_tables(usage_days(20_000, 7))


def share(rows: pa.Table, mask: pa.ChunkedArray) -> float:
    return float(pc.sum(mask).as_py() or 0) / len(rows)


@pytest.mark.parametrize(("rows", "days"), [(0, 3), (1, 3), (999, 1)])
def test_gives_exactly_so_many_rows(rows: int, days: int) -> None:
    assert sum(len(table) for table in usage_days(rows, days)) == rows


def test_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, again, other = (pa.concat_tables(usage_days(500, 2, seed=seed)) for seed in (7, 7, 8))
    assert first.equals(again)
    assert not first.equals(other)


def test_has_the_columns_of_the_usage_table_or_of_databricks_own(week: pa.Table) -> None:
    assert week.schema.equals(SCHEMA)
    real = next(iter(usage_days(10, 1, client_metadata=False)))
    assert tuple(real.schema.names) == MIRRORED_COLUMNS


def test_days_are_utc_and_weekends_quieter(week: pa.Table) -> None:
    times = week["event_time"]
    assert pc.min(times).as_py() >= datetime(2026, 8, 3, tzinfo=UTC)
    assert pc.max(times).as_py() < datetime(2026, 8, 10, 0, 0, 1, tzinfo=UTC)
    weekdays = dict(
        zip(*(column.to_pylist() for column in pc.value_counts(pc.day_of_week(times)).flatten()), strict=True)
    )
    assert weekdays[6] < weekdays[1] / 2
    hours = dict(zip(*(column.to_pylist() for column in pc.value_counts(pc.hour(times)).flatten()), strict=True))
    assert hours[22] < hours[10]


def test_each_invocation_is_one_row_and_some_requests_have_several(week: pa.Table) -> None:
    assert len(week["invocation_id"].unique()) == len(week) == 20_000
    assert 0.95 < len(week["request_id"].unique()) / len(week) < 0.975


def test_calls_fail_in_every_way_and_have_no_tokens_then(week: pa.Table) -> None:
    statuses = set(week["status_code"].unique().to_pylist())
    assert statuses == {200, 400, 401, 403, 404, 429, 500, 503, 504, None}
    failed = week.filter(pc.fill_null(pc.not_equal(week["status_code"], 200), True))
    assert 0.01 < len(failed) / len(week) < 0.1
    assert failed["total_tokens"].null_count == len(failed)
    refused = week.filter(pc.is_in(week["status_code"], pa.array([401, 403, 404], pa.int32())))
    assert refused["destination_model"].null_count == len(refused)


def test_calls_of_tools_have_no_tokens(week: pa.Table) -> None:
    tools = week.filter(pc.equal(week["service_type"], "MCP_SERVICE"))
    assert 0.02 < len(tools) / len(week) < 0.1
    assert tools["total_tokens"].null_count == tools["token_details"].null_count == len(tools)


def test_parts_of_tokens_are_parts(week: pa.Table) -> None:
    details = week["token_details"].combine_chunks()
    read, made, thought = (details.field(number) for number in range(3))
    assert pc.all(pc.less_equal(pc.add(read, made), week["input_tokens"])).as_py()
    assert pc.all(pc.less_equal(thought, week["output_tokens"])).as_py()
    assert pc.all(pc.equal(pc.add(week["input_tokens"], week["output_tokens"]), week["total_tokens"])).as_py()
    assert pc.all(pc.less_equal(week["time_to_first_byte_ms"], week["latency_ms"])).as_py()
    assert share(week, pc.greater(read, 0)) > 0.1


def test_a_guardrail_s_row_is_of_a_request_that_it_judged(week: pa.Table) -> None:
    source = pc.struct_field(week["invocation_metadata"], "source")
    judged = week.filter(pc.equal(source, "GUARDRAIL"))["request_id"]
    others = week.filter(pc.not_equal(source, "GUARDRAIL"))["request_id"]
    assert len(judged) > 100
    assert pc.all(pc.is_in(judged, others.unique())).as_py()


def test_tags_have_quotes_and_emoji_and_some_calls_have_none(week: pa.Table) -> None:
    found = {tuple(tags) for tags in week["request_tags"].to_pylist()}
    assert () in found
    assert (("team", "finance"), ('cost "center"', "4711 🧾")) in found


def test_is_written_as_parquet_and_as_a_delta_table(tmp_path: Path) -> None:
    assert write_parquet(usage_days(300, 3), tmp_path / "parquet") == 300
    assert write_delta(usage_days(300, 3), tmp_path / "delta") == 300
    wanted = pa.concat_tables(usage_days(300, 3))
    for folder in ("parquet", "delta"):
        files = sorted((tmp_path / folder).glob("*.parquet"))
        assert pa.concat_tables([pq.read_table(file) for file in files]).equals(wanted)
    log = (tmp_path / "delta" / "_delta_log" / f"{0:020}.json").read_text(encoding="utf-8")
    actions = [json.loads(line) for line in log.splitlines()]
    assert [next(iter(action)) for action in actions] == ["protocol", "metaData", "add", "add", "add"]
    assert sum(json.loads(action["add"]["stats"])["numRecords"] for action in actions[2:]) == 300
