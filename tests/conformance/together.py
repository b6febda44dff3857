"""Several frames by one query: a query costs far more than its few rows do, until it has too many parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql import types as t

AT_ONCE = 25
"""Frames of one query: the work of planning grows faster than their number."""


class Answered(NamedTuple):
    """A frame and its rows."""

    frame: DataFrame
    rows: list[Row]


def answered(frame: DataFrame) -> Answered:
    """The frame, by a query of its own."""
    return Answered(frame, frame.collect())


def answered_together(frames: Mapping[str, DataFrame]) -> dict[str, Answered]:
    """By as few queries as do it quickly."""
    left, found = iter(frames.items()), dict[str, Answered]()
    while some := dict(islice(left, AT_ONCE)):
        found |= _by_one_query(some)
    return found


def _by_one_query(frames: Mapping[str, DataFrame]) -> dict[str, Answered]:
    """Each frame is a branch of one UNION ALL, where its row is one struct; each type of row has a column there."""
    types = {frame.schema.json(): frame.schema for frame in frames.values()}
    branches = [frame.select(F.lit(name), *_columns(frame.schema, types)) for name, frame in frames.items()]
    found: dict[str, list[Row]] = {name: [] for name in frames}
    for name, *structs in _union(branches).collect():
        found[name].append(next(struct for struct in structs if struct is not None))
    return {name: Answered(frame, found[name]) for name, frame in frames.items()}


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    """In halves, so that the plan is not as deep as there are frames."""
    if len(frames) == 1:
        return frames[0]
    half = len(frames) // 2
    return _union(frames[:half]).union(_union(frames[half:]))


def _columns(own: t.StructType, types: Mapping[str, t.StructType]) -> list[Column]:
    return [
        (F.struct("*") if name == own.json() else F.lit(None).cast(data_type)).alias(f"column_{place}")
        for place, (name, data_type) in enumerate(types.items())
    ]
