"""What a sealed segment holds, and what became of requests whose outcome is damaged in it."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.usage.segment import Kind, as_outcome, event_id, read_all_lines, read_lines
from gateway_batch.usage.segment_names import UNKNOWN, SegmentName
from gateway_batch.usage.spool_folders import sealed_dir, segment_path


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a segment.

    Attributes:
        segment: the file.
        lines: that are torn or corrupted.
        lost: outcomes that were written and can't be read.
        unknown: of these, those whose request is known by its intent: a row of unknown outcome each.
    """

    segment: Path
    lines: int
    lost: int
    unknown: int

    def __str__(self) -> str:
        return (
            f"{self.lines} damaged lines in {self.segment.name}: {self.lost} outcomes are lost, and {self.unknown} of "
            "their requests are recorded as of unknown outcome"
        )


def read_sealed(segment: Path, damage: list[Damage]) -> Iterator[bytes]:
    """The outcome lines of a sealed segment.

    Args:
        segment: the file.
        damage: is added to, at the end, if there is any.
    """
    damaged = read = unknown = 0
    for kind, line in read_all_lines(segment):
        if kind is Kind.OUTCOME:
            read += 1
            yield line
        damaged += kind is None
    name = SegmentName.of(segment)
    assert name is not None
    lost = max(0, name.rows - read)
    if lost:
        for line in _intents_of_lost(segment, name):
            unknown += 1
            yield as_outcome(line)
    if damaged or lost:
        damage.append(Damage(segment, damaged, lost, unknown))


def _intents_of_lost(segment: Path, name: SegmentName) -> Iterator[bytes]:
    """The intents whose outcome was in the segment: it has none for them, and they are not accounted for elsewhere.

    None where a segment that might account for them is damaged too, or may still be on its way: no attempt may have two
    rows.
    """
    pending: dict[str, bytes] = {}
    for kind, line in read_lines(segment):
        if kind is Kind.INTENT:
            pending[event_id(line)] = line
        elif kind is Kind.OUTCOME:
            pending.pop(event_id(line), None)
    elsewhere = list(_elsewhere(segment, name))
    if name.copied and not any(path.exists() for path in elsewhere):
        return
    for path in elsewhere:
        with contextlib.suppress(FileNotFoundError):  # it has just been sealed, and comes again
            for found, line in read_all_lines(path):
                if found is None:
                    return
                if found in (Kind.INTENT, Kind.OUTCOME):
                    pending.pop(event_id(line), None)
    yield from pending.values()


def _elsewhere(segment: Path, name: SegmentName) -> Iterator[Path]:
    """Where else an attempt of a segment may be: the writer's next one, and what recovery made of its death."""
    spool_dir, following = segment.parent.parent, name.place + 1
    yield segment_path(spool_dir, name.writer, following)
    for number in (f"{following:06d}", UNKNOWN):
        yield from sealed_dir(spool_dir).glob(f"{glob.escape(name.writer)}-{number}.*")
