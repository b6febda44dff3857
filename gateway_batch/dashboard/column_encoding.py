"""The bytes that a page carries: columns of whole numbers, split into planes of bytes, so that they compress well."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from gateway_batch.dashboard.cube_arrays import CODED, COSTS, FlatCube, Ints


class Packer:
    """Collects columns, each under a name that the page's script knows."""

    def __init__(self) -> None:
        self._columns: list[dict[str, Any]] = []
        self._parts: list[bytes] = []

    def add(self, name: str, values: Ints, *, from_before: bool = False) -> None:
        """A column.

        Args:
            name: for the script.
            values: no more than 2**53, as the script has them in doubles.
            from_before: keep the difference to the value before.
        """
        if from_before:
            values = np.diff(values, prepend=0)
        is_signed = bool(len(values)) and int(values.min()) < 0
        if is_signed:
            values = (values << 1) ^ (values >> 63)
        greatest = int(values.max()) if len(values) else 0
        width = (greatest.bit_length() + 7) // 8
        planes = values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T
        self._columns.append(
            {"name": name, "length": len(values), "width": width, "signed": is_signed, "from_before": from_before}
        )
        self._parts.append(planes.tobytes())

    def packed(self, head: dict[str, Any]) -> bytes:
        """Everything, compressed: the length of the head, the head, the columns in the head's order."""
        text = json.dumps({**head, "columns": self._columns}, ensure_ascii=False, separators=(",", ":")).encode()
        compressor = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
        whole = len(text).to_bytes(4, "little") + text + b"".join(self._parts)
        return compressor.compress(whole) + compressor.flush()


def pack(cube: FlatCube) -> bytes:
    """The cube for `web/unpack.js`; figures that others foretell are kept as their difference from that."""
    packer = Packer()
    for name in CODED:
        packer.add(name, cube.coded[name].codes, from_before=name == "day")
    _add_sums(packer, cube)
    for name, spread in cube.spreads.items():
        sizes = np.bincount(spread.cells, minlength=cube.cells).astype(np.int64)
        starts = np.cumsum(sizes) - sizes
        is_first = np.zeros(len(spread.cells), bool)
        is_first[starts[sizes > 0]] = True
        gaps = np.diff(spread.buckets, prepend=0) - 1
        packer.add(f"{name}.sizes", sizes)
        packer.add(f"{name}.firsts", spread.buckets[is_first], from_before=True)
        packer.add(f"{name}.gaps", gaps[~is_first])
        packer.add(f"{name}.counts", spread.counts - 1)
    for groups in cube.groups:
        size = groups.cells.shape[1]
        for place in range(size):
            packer.add(f"groups.{size}.{place}", groups.cells[:, place], from_before=True)
        packer.add(f"groups.{size}.requests", groups.requests)
    return packer.packed(
        {
            "cells": cube.cells,
            "values": {name: cube.coded[name].values for name in CODED if name != "day"},
            "days": [None if day is None else day.isoformat() for day in cube.coded["day"].values],
            "group_sizes": [groups.cells.shape[1] for groups in cube.groups],
        }
    )


def _add_sums(packer: Packer, cube: FlatCube) -> None:
    sums = cube.sums
    of_hours = np.zeros(cube.cells, np.int64)
    np.add.at(of_hours, cube.spreads["hours"].cells, cube.spreads["hours"].counts)
    packer.add("invocations", sums["invocations"] - of_hours)
    packer.add("input_tokens", sums["input_tokens"])
    packer.add("output_tokens", sums["output_tokens"])
    packer.add("total_tokens", sums["total_tokens"] - sums["input_tokens"] - sums["output_tokens"])
    packer.add("cache_read_input_tokens", sums["cache_read_input_tokens"])
    packer.add("is_priced", cube.is_priced)
    packer.add("unpriced_tokens", sums["unpriced_tokens"] - np.where(cube.is_priced, 0, sums["total_tokens"]))
    for name in COSTS:
        packer.add(name, sums[name])
