"""Makes a cube small enough for a page: the values with the least use become one, neighbouring buckets too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway_batch.dashboard.cube_arrays import Coded, FlatCube, coarsened, merged

FOLDED = ("requester", "request_tags", "model", "mcp_tool", "endpoint_name", "workspace_id")
"""Dimensions whose values may become one, in the order in which they do."""

OTHER = "(other)"


@dataclass(frozen=True)
class Folded:
    """A cube, and what was done to make it small.

    Attributes:
        cube: the smaller one.
        merged: buckets of latencies that are one.
        values: how many values of a dimension are one now.
    """

    cube: FlatCube
    merged: int
    values: dict[str, int]


def folded(cube: FlatCube, fits: Callable[[Folded], bool]) -> Folded | None:
    """The first that fits: all as it is, then coarser buckets, then fewer values, then coarser buckets yet."""
    whole = (Folded(cube, 1, {}), Folded(coarsened(cube, 2), 2, {}))
    for each in whole:
        if fits(each):
            return each
    last = whole[-1]
    for name in FOLDED:
        found = _most_that_fits(last, name, fits)
        if isinstance(found, Folded):
            return found
        last = found[0]
    return next((each for each in _coarser(last) if fits(each)), None)


def _most_that_fits(start: Folded, name: str, fits: Callable[[Folded], bool]) -> Folded | tuple[Folded]:
    """With as many values of a dimension as fit, to a tenth; a tuple of the smallest where even that does not."""
    low, high = 0, len(start.cube.coded[name].values)
    best = _keep(start, name, low)
    if not fits(best):
        return (best,)
    while high - low > max(1, high // 10):
        middle = (low + high) // 2
        tried = _keep(start, name, middle)
        if fits(tried):
            low, best = middle, tried
        else:
            high = middle
    return best


def _coarser(start: Folded) -> Iterator[Folded]:
    for factor in (4, 8, 16):
        yield replace(start, cube=coarsened(start.cube, factor // start.merged), merged=factor)


def _keep(start: Folded, name: str, count: int) -> Folded:
    """With a limited number of values of a dimension, those with the most invocations; the others are one."""
    coded = start.cube.coded[name]
    uses = np.bincount(coded.codes, weights=start.cube.sums["invocations"], minlength=len(coded.values))
    uses[0] = np.inf  # what has no value stays apart
    kept = np.sort(np.argsort(-uses, kind="stable")[: count + 1])
    if len(kept) >= len(coded.values) - 1:
        return start
    new_codes = np.full(len(coded.values), len(kept), np.int64)
    new_codes[kept] = np.arange(len(kept))
    values = [*(coded.values[code] for code in kept), _other(coded, is_tags=name == "request_tags")]
    small = Coded(values, new_codes[coded.codes])
    cube = merged(replace(start.cube, coded={**start.cube.coded, name: small}))
    return replace(start, cube=cube, values={**start.values, name: len(coded.values) - len(kept)})


def _other(coded: Coded, *, is_tags: bool) -> Any:
    label = OTHER
    taken = {key for tags in coded.values for key, _ in tags} if is_tags else set(coded.values)
    while label in taken:
        label = f"({label})"
    return ((label, ""),) if is_tags else label
