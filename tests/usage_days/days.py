"""Batches of whole days, and files of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.usage_days.rows import Burst, calls_of, judged, with_fallbacks
from tests.usage_days.workloads import WEEK, WORKLOADS

FIRST_DAY = date(2026, 8, 3)
_BATCH = 250_000
_DAY_US = 86_400_000_000
_FALLBACKS, _JUDGED = 0.008, 0.03
_BURSTY = ("databricks-gpt-5-4", "main.ai.coding", "databricks-meta-llama-3-3-70b-instruct", "main.research.openai")


def usage_days(
    rows: int, days: int = 28, *, first: date = FIRST_DAY, seed: int = 7, client_metadata: bool = True
) -> Iterator[pa.Table]:
    """Days of usage in batches, each sorted by `event_time`; the same ones for the same arguments.

    Args:
        rows: in all, shared out to the days as their weekdays are busy.
        days: number of days, from `first` on.
        first: a UTC date.
        seed: other seeds give other rows of the same kind.
        client_metadata: with our own column; else exactly the columns of `system.ai_gateway.usage`.
    """
    dates = [first + timedelta(days=number) for number in range(days)]
    for number, (day, of_day) in enumerate(zip(dates, _shared_out(rows, dates, seed), strict=True)):
        bursts = _bursts(day, np.random.default_rng([seed, number]))
        for batch, size in enumerate(_sizes(of_day)):
            table = _batch(day, size, bursts, np.random.default_rng([seed, number, batch + 1]))
            yield table if client_metadata else table.select(MIRRORED_COLUMNS)


def write_parquet(tables: Iterable[pa.Table], folder: Path) -> int:
    """Writes each table to a file of its own; returns the number of rows."""
    return sum(rows for _, rows in _files(tables, folder))


def write_delta(tables: Iterable[pa.Table], folder: Path) -> int:
    """Writes tables as a Delta table of one commit, with statistics of `event_time`; returns the number of rows."""
    adds, rows, schema = [], 0, None
    for (path, count), table in _files_and_tables(tables, folder):
        schema, stats = table.schema, {"numRecords": count, **_times(table)}
        size, rows = path.stat().st_size, rows + count
        add = {"path": path.name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
        adds.append({"add": {**add, "stats": json.dumps(stats)}})
    if schema is None:
        raise ValueError("no batch: a Delta table needs at least its columns")
    metadata = {
        "id": "7f3c2b0e-0000-4000-8000-000000000000",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(_spark_type(pa.struct(list(schema)))),
        "partitionColumns": [],
        "configuration": {},
    }
    log = folder / "_delta_log"
    log.mkdir()
    actions = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}, *adds]
    (log / f"{0:020}.json").write_text("".join(json.dumps(action) + "\n" for action in actions), encoding="utf-8")
    return rows


def _times(table: pa.Table) -> dict[str, Any]:
    """The first and the last `event_time` as Delta's statistics have them, in milliseconds: none is outside."""
    first, last = pc.min_max(table["event_time"]).as_py().values()
    if first is None:
        return {}
    low, high = (f"{each:%Y-%m-%dT%H:%M:%S.}{each.microsecond // 1000:03}Z" for each in (first, last))
    return {"minValues": {"event_time": low}, "maxValues": {"event_time": high}}


def _files(tables: Iterable[pa.Table], folder: Path) -> Iterator[tuple[Path, int]]:
    return (written for written, _ in _files_and_tables(tables, folder))


def _files_and_tables(tables: Iterable[pa.Table], folder: Path) -> Iterator[tuple[tuple[Path, int], pa.Table]]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        path = folder / f"part-{number:05}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=1, coerce_timestamps="us")
        yield (path, len(table)), table


def _spark_type(type_: pa.DataType) -> Any:
    """A type as Spark writes it in a Delta table's metadata."""
    if pa.types.is_struct(type_):
        fields = [
            {"name": each.name, "type": _spark_type(each.type), "nullable": True, "metadata": {}} for each in type_
        ]
        return {"type": "struct", "fields": fields}
    if pa.types.is_map(type_):
        value = _spark_type(type_.item_type)
        return {"type": "map", "keyType": _spark_type(type_.key_type), "valueType": value, "valueContainsNull": True}
    if pa.types.is_list(type_):
        return {"type": "array", "elementType": _spark_type(type_.value_type), "containsNull": True}
    names = {pa.string(): "string", pa.int32(): "integer", pa.int64(): "long", pa.bool_(): "boolean"}
    return "timestamp" if pa.types.is_timestamp(type_) else names[type_]


def _shared_out(rows: int, dates: list[date], seed: int) -> list[int]:
    """Rows of each day: by its weekday, a little noise, and a growth of half a percent a day."""
    rng = np.random.default_rng([seed, 0x5EED])
    busy = [
        sum(each.weight * WEEK[each.hours][day.weekday()] for each in WORKLOADS)
        * 1.005**number
        * rng.uniform(0.93, 1.07)
        for number, day in enumerate(dates)
    ]
    ends = np.round(np.cumsum(busy) / sum(busy) * rows).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]


def _sizes(rows: int) -> list[int]:
    parts = -(-rows // _BATCH)
    return [rows // parts + (number < rows % parts) for number in range(parts)]


def _batch(day: date, rows: int, bursts: list[Burst], rng: np.random.Generator) -> pa.Table:
    """Rows of a day: calls, and the further rows that some of them have."""
    day_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    extra = round(rows * (_FALLBACKS + _JUDGED))
    weights = np.array([each.weight * WEEK[each.hours][day.weekday()] for each in WORKLOADS])
    counts = rng.multinomial(rows - extra, weights / weights.sum())
    tables = [calls_of(*each, day_us, bursts, rng) for each in zip(WORKLOADS, counts.tolist(), strict=True)]
    chat = next(number for number, each in enumerate(WORKLOADS) if each.name == "support-chat")
    failed_first = with_fallbacks(tables[chat], rows * _FALLBACKS / max(len(tables[chat]), 1), WORKLOADS[chat], rng)
    models = pa.concat_tables([table for table, each in zip(tables, WORKLOADS, strict=True) if not each.tools])
    tables += [failed_first, judged(models, extra - len(failed_first), rng)]
    whole = pa.concat_tables(tables).combine_chunks()
    return whole.take(pc.sort_indices(whole["event_time"]))


def _bursts(day: date, rng: np.random.Generator) -> list[Burst]:
    """Two or three a day, of five to twenty minutes."""
    day_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    bursts = []
    for endpoint in rng.choice(_BURSTY, size=int(rng.integers(2, 4)), replace=False):
        begin = day_us + int(rng.integers(0, _DAY_US))
        bursts.append(Burst(str(endpoint), begin, begin + int(rng.integers(5, 20)) * 60_000_000))
    return bursts
