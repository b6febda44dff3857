"""From the cells that the usage table is grouped into, to those of a page, which has fewer dimensions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gateway_batch.dashboard.cube import CELLS, GROUPS

Numbers = npt.NDArray[np.int64]

KEYS = CELLS.names[1 : CELLS.names.index("invocations")]
"""Dimensions of the cells of a page."""

SUMS = CELLS.names[CELLS.names.index("invocations") : CELLS.names.index("hours")]
SPREADS = ("hours", "latencies", "first_bytes")


def cells_and_groups(rows: pa.Table, spreads: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The tables of a `UsageCube`.

    Args:
        rows: `KEYS`, `SUMS`, and `cell`, `request_group` and `requests` as `usage_daily` has them.
        spreads: `day`, `cell` and `SPREADS`, as `usage_daily_distributions` has them.

    Returns:
        A table of `CELLS` and one of `GROUPS`.
    """
    number = _numbered([_codes(rows[name]) for name in KEYS])
    first = np.unique(number, return_index=True)[1]
    named = rows.select(KEYS).take(pa.array(first))
    sums = rows.select(SUMS).append_column("cell", pa.array(number, pa.int32()))
    summed = sums.group_by("cell").aggregate([(name, "sum") for name in SUMS]).sort_by("cell")
    columns = {name: named[name] for name in KEYS} | {name: summed[f"{name}_sum"] for name in SUMS}
    columns |= {name: pc.fill_null(columns[name], 0) for name in SUMS if name != "cost_usd"}
    columns |= _spread(rows, spreads, number, len(first))
    columns["cell"] = pa.array(np.arange(len(first)), pa.int32())
    cells = pa.table([columns[name].cast(CELLS.field(name).type) for name in CELLS.names], schema=CELLS)
    return cells, _groups(rows, number)


def _spread(rows: pa.Table, spreads: pa.Table, number: Numbers, count: int) -> dict[str, pa.Array]:
    """The distributions of each of the page's cells, by the name of their column."""
    both = pa.concat_tables([rows.select(["day", "cell"]), spreads.select(["day", "cell"])])
    of_usage = _numbered([_codes(both["day"]), _codes(both["cell"])])
    page_cell = np.full(int(of_usage.max(initial=-1)) + 1, -1, np.int64)
    page_cell[of_usage[: len(rows)]] = number
    cell = page_cell[of_usage[len(rows) :]]
    return {name: _merged(spreads[name].combine_chunks(), cell, count) for name in SPREADS}


def _merged(lists: pa.ListArray, cell: Numbers, count: int) -> pa.ListArray:
    """Adds up the lists of buckets of each cell."""
    flat = pa.table(
        {
            "cell": pa.array(cell).take(lists.value_parent_indices()),
            "bucket": lists.flatten().field("bucket"),
            "invocations": lists.flatten().field("invocations"),
        }
    )
    summed = flat.group_by(["cell", "bucket"]).aggregate([("invocations", "sum")])
    summed = summed.sort_by([("cell", "ascending"), ("bucket", "ascending")]).combine_chunks()
    sizes = np.bincount(summed["cell"].to_numpy(), minlength=count)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    type_ = CELLS.field("latencies").type
    parts = [summed["bucket"].combine_chunks(), summed["invocations_sum"].combine_chunks()]
    items = pa.StructArray.from_arrays(
        [part.cast(field.type) for part, field in zip(parts, type_.value_type, strict=True)],
        fields=list(type_.value_type),
    )
    return pa.ListArray.from_arrays(offsets, items, type=type_)


def _groups(rows: pa.Table, number: Numbers) -> pa.Table:
    """Groups of requests by the page's cells; those that fall into the same ones become one."""
    of_day = _numbered([_codes(rows["day"]), _codes(rows["request_group"])])
    requests = rows["requests"].to_numpy()
    cells: dict[int, set[int]] = defaultdict(set)
    size: dict[int, int] = {}
    for group, cell, count in zip(of_day.tolist(), number.tolist(), requests.tolist(), strict=True):
        cells[group].add(cell)
        size[group] = count
    joined: Counter[tuple[int, ...]] = Counter()
    for group, count in size.items():
        joined[tuple(sorted(cells[group]))] += count
    found = [(place, cell, count) for place, (shape, count) in enumerate(joined.items()) if count for cell in shape]
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, GROUPS, strict=True)], GROUPS)


def _codes(column: pa.ChunkedArray) -> Numbers:
    """A number for each value, the same for equal ones; NULL is a value."""
    if pa.types.is_map(column.type):
        column = pa.chunked_array([[None if tags is None else repr(sorted(tags)) for tags in column.to_pylist()]])
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    found: Numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _numbered(codes: Sequence[Numbers]) -> Numbers:
    """A number for each combination of codes, from 0 on in the order of the codes."""
    number = codes[0]
    for more in codes[1:]:
        number = number * (int(more.max(initial=0)) + 1) + more
        number = np.unique(number, return_inverse=True)[1].astype(np.int64)
    return number
