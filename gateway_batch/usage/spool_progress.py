"""How far the writers of a spool are, from its files alone: cheap enough to ask a few times a second."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.usage.segment import lines_in
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.spool_folders import active_dir, is_file, sealed_segments

_RATE_LIMITED = b'"status_code":429'


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire.

    Attributes:
        attempts: that ended, failed ones among them.
        rate_limited: of these, with status 429.
        in_flight: that have begun and not ended.
    """

    attempts: int = 0
    rate_limited: int = 0
    in_flight: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came on top of an earlier look, and what is in flight now."""
        return Traffic(self.attempts - earlier.attempts, self.rate_limited - earlier.rate_limited, self.in_flight)


@dataclass(slots=True)
class _Segment:
    """What was read of a segment; its attempts may be known from its name alone."""

    offset: int = 0
    intents: int = 0
    attempts: int = 0
    rate_limited: int = 0


class SpoolWatch:
    """Watches a spool folder. Reads each byte once; what was drained since the last look still counts."""

    def __init__(self, spool_dir: Path) -> None:
        self._spool_dir = spool_dir
        self._segments: dict[tuple[str, str], _Segment] = {}

    def look(self) -> Traffic:
        """All that this watch has seen; may miss the newest, and what was sealed and drained between two looks."""
        active = list(self._active())
        for writer, number, path in active:
            self._read(self._segment(writer, number), path)
        for path, name in sealed_segments(self._spool_dir):
            self._take_sealed(path, name)
        read = self._segments.values()
        return Traffic(
            sum(each.attempts for each in read),
            sum(each.rate_limited for each in read),
            sum(max(0, self._open(writer, number)) for writer, number, _ in active),
        )

    def _active(self) -> Iterator[tuple[str, str, Path]]:
        for path in active_dir(self._spool_dir).glob("*/[0-9]*.log"):
            if is_file(path):
                yield path.parent.name, path.stem, path

    def _segment(self, writer: str, number: str) -> _Segment:
        return self._segments.setdefault((writer, number), _Segment())

    def _open(self, writer: str, number: str) -> int:
        segment = self._segments[writer, number]
        return segment.intents - segment.attempts

    def _take_sealed(self, path: Path, name: SegmentName) -> None:
        segment = self._segment(name.writer, name.number)
        if segment.offset < name.size:
            self._read(segment, path)
            segment.attempts, segment.offset = name.rows, name.size

    def _read(self, segment: _Segment, path: Path) -> None:
        with (
            contextlib.suppress(OSError),
            path.open("rb") as lines,
        ):  # it may be sealed or drained at any time, or not be readable
            lines.seek(segment.offset)
            for line in lines_in(lines):
                if not line.endswith(b"\n"):
                    break
                segment.offset += len(line)
                kind = line[9:11]
                segment.intents += kind == b"I "
                if kind == b"O ":
                    segment.attempts += 1
                    segment.rate_limited += _RATE_LIMITED in line
