"""A cube as arrays of numbers: dictionaries and codes instead of texts, flat lists of buckets, groups by their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gateway_batch.dashboard.cube import UsageCube

Ints = npt.NDArray[np.int64]
Tags = tuple[tuple[str, str | None], ...]

CODED = (
    "endpoint_name", "model", "status_code", "coding_agent", "is_subagent", "agent_framework", "smart_router", "is_mcp",
    "mcp_server_type", "mcp_method", "mcp_tool", "workspace_id", "request_tags", "requester", "day",
)  # fmt: skip
"""The dimensions of a cell, in the order in which cells are sorted: neighbours are alike, which packs well."""

SUMS = (
    "invocations", "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "unpriced_tokens",
)  # fmt: skip
COSTS = ("cost_dollars", "cost_millionths", "cost_rest")
"""A cost in three whole numbers, so that sums of many stay exact in a browser: dollars, 10**-6 and 10**-12 of one."""

SPREADS = ("hours", "latencies", "first_bytes")


@dataclass(frozen=True)
class Coded:
    """A column of codes into its values; of equal cells, equal codes."""

    values: Sequence[Any]
    codes: Ints


@dataclass(frozen=True)
class Spread:
    """How often a cell has a bucket, sorted by cell and bucket, each pair once."""

    cells: Ints
    buckets: Ints
    counts: Ints


@dataclass(frozen=True)
class Groups:
    """Requests that have invocations in the same cells.

    Attributes:
        cells: a row for each group, as many columns as it has cells, ascending.
        requests: of each.
    """

    cells: Ints
    requests: Ints


@dataclass(frozen=True)
class FlatCube:
    """A cube whose cells are numbered from 0.

    Attributes:
        coded: the dimensions of each cell.
        sums: the added up columns of each cell, costs in three parts.
        is_priced: whether a cell has a cost.
        spreads: buckets of each cell.
        groups: by the number of their cells.
    """

    coded: Mapping[str, Coded]
    sums: Mapping[str, Ints]
    is_priced: Ints
    spreads: Mapping[str, Spread]
    groups: Sequence[Groups]

    @property
    def cells(self) -> int:
        """How many."""
        return len(self.is_priced)


def flatten(cube: UsageCube) -> FlatCube:
    """The cube as numbers, its cells sorted."""
    cells = cube.cells.combine_chunks()
    costs = [None if cost is None else int(cost.scaleb(12)) for cost in cells["cost_usd"].to_pylist()]
    whole = [divmod(cost or 0, 10**12) for cost in costs]
    sums = {name: _ints(cells[name]) for name in SUMS}
    sums |= {
        "cost_dollars": np.array([dollars for dollars, _ in whole], np.int64),
        "cost_millionths": np.array([rest // 10**6 for _, rest in whole], np.int64),
        "cost_rest": np.array([rest % 10**6 for _, rest in whole], np.int64),
    }
    flat = FlatCube(
        coded={name: _tags(cells[name]) if name == "request_tags" else _coded(cells[name]) for name in CODED},
        sums=sums,
        is_priced=np.array([cost is not None for cost in costs], np.int64),
        spreads={name: _spread(cells[name]) for name in SPREADS},
        groups=_groups(cube),
    )
    return merged(flat)


def merged(cube: FlatCube) -> FlatCube:
    """Cells of the same dimensions made one, and groups of the same cells; sorted."""
    places, of_cell = _unique_rows([cube.coded[name].codes for name in CODED])
    sums = {name: _added(values, of_cell, len(places)) for name, values in cube.sums.items()}
    for low, high in (("cost_rest", "cost_millionths"), ("cost_millionths", "cost_dollars")):
        carried, sums[low] = np.divmod(sums[low], 10**6)
        sums[high] = sums[high] + carried
    return FlatCube(
        coded={name: replace(coded, codes=coded.codes[places]) for name, coded in cube.coded.items()},
        sums=sums,
        is_priced=np.minimum(_added(cube.is_priced, of_cell, len(places)), 1),
        spreads={
            name: _merged_spread(of_cell[spread.cells], spread.buckets, spread.counts)
            for name, spread in cube.spreads.items()
        },
        groups=_merged_groups([Groups(of_cell[groups.cells], groups.requests) for groups in cube.groups]),
    )


def coarsened(cube: FlatCube, factor: int) -> FlatCube:
    """Neighbouring buckets of latencies merged into one; hours stay."""
    coarse = {
        name: _merged_spread(spread.cells, np.floor_divide(spread.buckets, factor), spread.counts)
        for name, spread in cube.spreads.items()
        if name != "hours"
    }
    return replace(cube, spreads={**cube.spreads, **coarse})


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(
        pc.fill_null(column, 0).cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False), np.int64
    )


def _coded(column: pa.ChunkedArray) -> Coded:
    """Codes in the order of the values, NULL first."""
    found = pc.unique(column).to_pylist()
    values = [None, *sorted(value for value in found if value is not None)]
    order = pa.array(values[1:], column.type)
    codes = pc.index_in(column, value_set=order)
    return Coded(values, _ints(pc.add(pc.fill_null(codes, -1), 1)))


def _tags(column: pa.ChunkedArray) -> Coded:
    """Codes of sets of tags, the empty one first, which stands for NULL too."""
    sets: list[Tags] = [tuple(sorted(dict(tags).items(), key=str)) if tags else () for tags in column.to_pylist()]
    values: list[Tags] = [(), *sorted(set(sets) - {()}, key=str)]
    code_of = {tags: code for code, tags in enumerate(values)}
    return Coded(values, np.array([code_of[tags] for tags in sets], np.int64))


def _spread(column: pa.ChunkedArray) -> Spread:
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], column.type)
    entries = pc.list_flatten(lists)
    cells, buckets, counts = (
        np.asarray(each.to_numpy(zero_copy_only=False), np.int64)
        for each in (pc.list_parent_indices(lists), entries.field(0), entries.field(1))
    )
    return Spread(cells, buckets, counts)


def _groups(cube: UsageCube) -> list[Groups]:
    """By size, from rows of single cells; their order in the table does not matter."""
    numbers, group = _ints(cube.cells["cell"]), _ints(cube.groups["request_group"])
    order = np.argsort(numbers)
    cell = order[np.searchsorted(numbers[order], _ints(cube.groups["cell"]))] if len(group) else group
    requests = _ints(cube.groups["requests"])
    by_group = np.argsort(group, kind="stable")
    cell, requests = cell[by_group], requests[by_group]
    _, begins, sizes = np.unique(group[by_group], return_index=True, return_counts=True)
    return [
        Groups(cell[begins[sizes == size][:, None] + np.arange(size)], requests[begins[sizes == size]])
        for size in np.unique(sizes).tolist()
    ]


def _merged_groups(groups: Sequence[Groups]) -> list[Groups]:
    by_size: dict[int, list[Groups]] = {}
    for each in groups:
        cells = np.sort(each.cells, axis=1)
        is_new = np.ones(cells.shape, bool)
        is_new[:, 1:] = cells[:, 1:] != cells[:, :-1]
        sizes = is_new.sum(axis=1)
        for size in np.unique(sizes).tolist():
            rows = sizes == size
            distinct = cells[rows][is_new[rows]].reshape(-1, size)
            by_size.setdefault(size, []).append(Groups(distinct, each.requests[rows]))
    result = []
    for size in sorted(by_size):
        cells = np.concatenate([each.cells for each in by_size[size]])
        places, of_group = _unique_rows(list(cells.T))
        requests = _added(np.concatenate([each.requests for each in by_size[size]]), of_group, len(places))
        result.append(Groups(cells[places], requests))
    return result


def _merged_spread(cells: Ints, buckets: Ints, counts: Ints) -> Spread:
    places, of_entry = _unique_rows([cells, buckets])
    return Spread(cells[places], buckets[places], _added(counts, of_entry, len(places)))


def _unique_rows(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Places of the distinct rows, sorted by the columns, and the number of each row among them."""
    order = np.lexsort(list(reversed(columns)))
    is_new = np.ones(len(order), bool)
    if len(order):
        is_new[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(is_new) - 1
    return order[is_new].astype(np.int64), number


def _added(values: Ints, of_row: Ints, rows: int) -> Ints:
    sums = np.zeros(rows, np.int64)
    np.add.at(sums, of_row, values)
    return sums
