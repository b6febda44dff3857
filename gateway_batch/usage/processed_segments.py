"""Which segments were drained: one that a host copies again, as it died before it deleted its own, is skipped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway_batch.usage.segment_names import SegmentName

Ranges = tuple[tuple[int, int], ...]

_MOST_WRITERS = 2_000


class ProcessedSegments:
    """Places of segments by writer, as ranges without gaps. The writers longest without a new one are forgotten.

    Args:
        ranges: first and last places, in order.
    """

    def __init__(self, ranges: Mapping[str, Iterable[Iterable[int]]] | None = None) -> None:
        self._ranges = {
            writer: tuple((first, last) for first, last in spans) for writer, spans in (ranges or {}).items()
        }

    def __contains__(self, name: SegmentName) -> bool:
        return any(first <= name.place <= last for first, last in self._ranges.get(name.writer, ()))

    def adding(self, names: Iterable[SegmentName]) -> ProcessedSegments:
        """These and more."""
        ranges = dict(self._ranges)
        for name in names:
            ranges[name.writer] = _with(ranges.pop(name.writer, ()), name.place)  # the newest last
        return ProcessedSegments({writer: ranges[writer] for writer in list(ranges)[-_MOST_WRITERS:]})

    def union(self, other: ProcessedSegments) -> ProcessedSegments:
        """Those of two tables together."""
        ranges = dict(self._ranges)
        for writer, spans in other._ranges.items():
            ranges[writer] = _merged((*ranges.get(writer, ()), *spans))
        return ProcessedSegments(ranges)

    def as_json(self) -> dict[str, list[list[int]]]:
        """What the constructor takes."""
        return {writer: [list(span) for span in spans] for writer, spans in self._ranges.items()}


def _with(spans: Ranges, place: int) -> Ranges:
    if any(first <= place <= last for first, last in spans):
        return spans
    return _merged((*spans, (place, place)))


def _merged(spans: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return tuple(merged)
