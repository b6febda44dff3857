"""What a sealed segment holds, and what became of requests whose outcome is damaged in it."""

from __future__ import annotations

import contextlib
import glob
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.local_files.private import check_part, make_private, write_private
from gateway_batch.usage.foreign_files import shown, warn_once
from gateway_batch.usage.segment import Kind, as_outcome, event_id, read_all_lines, read_lines
from gateway_batch.usage.segment_names import UNKNOWN, SegmentName
from gateway_batch.usage.spool_folders import damaged_dir, sealed_dir, segment_path

_MOST_KEPT = 64 << 20

_log = logging.getLogger(__name__)


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


def keep_damaged(segment: Path) -> bool:
    """Copies a segment to the damaged ones, its first 64 MB at most; returns whether it could, else says so.

    Raises:
        FileNotFoundError: another drain has taken the segment.
    """
    spool_dir = segment.parent.parent
    kept = damaged_dir(spool_dir)
    with segment.open("rb") as file:
        content = file.read(_MOST_KEPT)
    try:
        make_private(kept)
        check_part(kept, spool_dir, "remove it")
        write_private(kept / segment.name, content)
    except OSError as error:
        warn_once(_log, kept / segment.name, f"{segment.name} is damaged and can't be kept in {shown(kept)}: {error}")
        return False
    return True


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
