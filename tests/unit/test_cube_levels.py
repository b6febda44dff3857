"""From a usage table's cells to a page's, and how these are made fewer: nothing is lost on the way."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from gateway_batch.dashboard.cube import CELLS, GROUPS, SESSIONS, UsageCube
from gateway_batch.dashboard.cube_arrays import FlatCube, coarsened, flatten
from gateway_batch.dashboard.cube_cells import KEYS, cells_and_groups
from gateway_batch.dashboard.fold_levels import OTHER, folded

DAY = date(2026, 8, 3)
TYPES = {name: CELLS.field(name).type for name in CELLS.names}


def row(cell: int, group: str | None, requests: int, **columns: Any) -> dict[str, Any]:
    known = {name: None for name in KEYS} | {"day": DAY, "is_mcp": False}
    sums = {"invocations": 1, "input_tokens": None, "output_tokens": None, "total_tokens": None}
    sums |= {"cache_read_input_tokens": None, "cost_usd": None, "unpriced_tokens": 0}
    return known | sums | {"cell": cell, "request_group": group, "requests": requests} | columns


def spread(cell: int, **buckets: int) -> dict[str, Any]:
    lists: dict[str, Any] = {name: [] for name in ("hours", "latencies", "first_bytes")}
    lists |= {name: [{"bucket": bucket, "invocations": 1}] for name, bucket in buckets.items()}
    return {"day": DAY, "cell": cell} | lists


ROWS = [
    row(1, "cell 1", 3, requester="ana", source="A", invocations=3, input_tokens=10**12, cost_usd=Decimal("0.1")),
    row(2, "cell 2", 2, requester="ana", source="B", invocations=2, cost_usd=Decimal("0.000000000001")),
    row(3, "shape 1", 5, requester="ben", source="A", invocations=5),
    row(4, "shape 1", 5, requester="cid", source="A", invocations=5, status_code=500),
    row(5, None, 0, requester="dee", source="A"),
    row(6, "cell 6", 1, requester=None, request_tags=[("b", "2"), ("a", "1")]),
    row(7, "cell 7", 1, requester=None, request_tags=[("a", "1"), ("b", "2")]),
]
SPREADS = [spread(1, hours=3, latencies=10), spread(2, hours=3, latencies=11), spread(4, hours=5, first_bytes=0)]


@pytest.fixture
def cube() -> UsageCube:
    columns = {name: TYPES.get(name, pa.string()) for name in ROWS[0]}
    columns |= {"cell": pa.int64(), "requests": pa.int64()}
    rows = pa.Table.from_pylist(ROWS, pa.schema(list(columns.items())))
    of_spread = {name: TYPES[name] for name in ("day", "hours", "latencies", "first_bytes")} | {"cell": pa.int64()}
    spreads = pa.Table.from_pylist(SPREADS, pa.schema(list(of_spread.items())))
    cells, groups = cells_and_groups(rows, spreads)
    return UsageCube(cells, groups, SESSIONS.empty_table(), "t", datetime(2026, 8, 4, tzinfo=UTC), DAY, DAY)


def test_cells_that_a_page_does_not_tell_apart_become_one(cube: UsageCube) -> None:
    assert cube.cells.schema == CELLS
    assert cube.groups.schema == GROUPS
    cells = {(each["requester"], each["status_code"]): each for each in cube.cells.to_pylist()}
    assert len(cells) == 5
    ana = cells["ana", None]
    assert (ana["invocations"], ana["input_tokens"], ana["output_tokens"]) == (5, 10**12, 0)
    assert ana["cost_usd"] == Decimal("0.100000000001")
    assert ana["hours"] == [{"bucket": 3, "invocations": 2}]
    assert [each["bucket"] for each in ana["latencies"]] == [10, 11]
    assert cells["ben", None]["cost_usd"] is None
    assert cells[None, None]["invocations"] == 2
    shapes: dict[int, list[Any]] = {}
    for each in cube.groups.to_pylist():
        shapes.setdefault(each["request_group"], []).append((each["cell"], each["requests"]))
    found = sorted((len(shape), shape[0][1]) for shape in shapes.values())
    assert found == [(1, 2), (1, 5), (2, 5)], "of two untagged orders, of ana, of both ben and cid; none without an id"


def totals(flat: FlatCube) -> tuple[dict[str, int], int, dict[str, int]]:
    cost = sum(
        int(flat.sums[name].sum()) * unit
        for name, unit in (("cost_dollars", 10**12), ("cost_millionths", 10**6), ("cost_rest", 1))
    )
    sums = {name: int(values.sum()) for name, values in flat.sums.items() if not name.startswith("cost_")}
    counts = {name: int(each.counts.sum()) for name, each in flat.spreads.items()}
    return sums | {"cost": cost}, sum(int(groups.requests.sum()) for groups in flat.groups), counts


def test_what_is_folded_keeps_its_sums_requests_and_counts(cube: UsageCube) -> None:
    flat = flatten(cube)
    assert totals(flat)[0]["cost"] == 10**11 + 1
    assert totals(flat)[1] == 12
    assert totals(coarsened(flat, 2)) == totals(flat)
    small = folded(flat, lambda tried: "requester" in tried.values)
    assert small is not None
    assert totals(small.cube) == totals(flat)
    assert OTHER in small.cube.coded["requester"].values
    assert None in small.cube.coded["requester"].values, "what has no requester stays apart"
    assert small.values == {"requester": 2}
    assert len(small.cube.coded["requester"].values) == len(flat.coded["requester"].values) - 1


def test_a_request_of_folded_cells_counts_once_in_them(cube: UsageCube) -> None:
    small = folded(flatten(cube), lambda tried: tried.values.get("requester") == 4)
    assert small is not None
    by_size = {groups.cells.shape[1]: int(groups.requests.sum()) for groups in small.cube.groups}
    assert by_size == {1: 7, 2: 5}, "ben and cid are one, with two statuses"


def test_nothing_that_fits_is_none(cube: UsageCube) -> None:
    assert folded(flatten(cube), lambda tried: False) is None
