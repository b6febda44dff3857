"""A partition below a LIMIT that counts answers: it is asked in pieces, few rows at first, until Spark has enough.

An optimizer rule gives such a call the LIMIT, as a column after its own. Spark doesn't say when it has enough: it hangs
up, which the worker finds out as it writes (`cancelling`). So between two pieces it waits and writes empty batches.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pyarrow as pa

Columns = tuple[pa.Array, ...]
Answers = Generator[list[Any] | None, None, None]

_FEWEST = 4
_WAITS, _WAIT_S = 3, 0.02  # a hang-up is found out with the second write after it


def rows_wanted(batches: Iterator[Columns], inputs: int) -> tuple[int | None, Iterator[Columns]]:
    """The LIMIT above a call, None for none, and the batches without its column.

    Args:
        batches: of the call's columns.
        inputs: how many of its own there are.
    """
    first = next(batches, None)
    if first is None:
        return None, iter(())
    batches = itertools.chain((first,), batches)
    if len(first) == inputs:
        return None, batches
    limits = first[inputs]
    return limits[0].as_py() if len(limits) else _FEWEST, (columns[:inputs] for columns in batches)


def in_pieces(answered: Callable[[Iterator[list[Any]]], Answers], batches: Iterator[list[Any]], first: int) -> Answers:
    """Batches' answers, asked in pieces of which each is twice as large as the one before.

    Args:
        answered: answers batches.
        batches: of rows.
        first: rows of the first piece.
    """
    size, asked = max(first, _FEWEST), 0
    for rows in batches:
        begin = 0
        while begin < len(rows):
            for _ in range(_WAITS if asked else 0):
                time.sleep(_WAIT_S)
                yield None
            piece = rows[begin : begin + size]
            yield from answered(iter((piece,)))
            begin, asked, size = begin + len(piece), asked + len(piece), 2 * size
