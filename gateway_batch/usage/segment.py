"""The line format of the spool.

A line is `<crc32 of the rest, 8 hex digits> <kind> <JSON>`. Kinds: `H` a segment's header with the format's version,
`I` an intent, written before a request's bytes leave, `O` an outcome, `T` a task's summary (`task_summary`). Intent and
outcome both hold a whole usage record, most columns that are NULL left out: an outcome needs no other line to become a
row, and an intent whose writer died is a row of unknown outcome as it stands. Readers take a line only if its checksum
holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from gateway_batch.usage.record import UsageRecord

FORMAT_VERSION = 1


class Kind(StrEnum):
    """What a line is."""

    HEADER = "H"
    INTENT = "I"
    OUTCOME = "O"
    TASK = "T"


_LETTERS = {kind: kind.encode() for kind in Kind}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


def encode(kind: Kind, record: UsageRecord) -> bytes:
    """An intent's or outcome's line, its newline included."""
    return line_of(kind, vars(record))


def line_of(kind: Kind, payload: dict[str, Any]) -> bytes:
    """A line of any kind."""
    body = b"%b %b" % (_LETTERS[kind], orjson.dumps(payload, option=orjson.OPT_UTC_Z))
    return b"%08x %b\n" % (zlib.crc32(body), body)


def as_outcome(intent: bytes) -> bytes:
    """An intent's line as the outcome line of the same record."""
    body = Kind.OUTCOME.encode() + intent.rstrip(b"\n")[10:]
    return b"%08x %b\n" % (zlib.crc32(body), body)


def header(writer: str) -> bytes:
    """A segment's first line."""
    return line_of(Kind.HEADER, {"format": FORMAT_VERSION, "writer": writer})


def format_of(path: Path) -> int:
    """The version of a segment's format; the present one where its header can't be read."""
    with path.open("rb") as segment:
        line = segment.readline()
    return int(orjson.loads(line[11:])["format"]) if _kind(line) is Kind.HEADER else FORMAT_VERSION


def read_lines(path: Path) -> Iterator[tuple[Kind, bytes]]:
    """The undamaged lines of a segment, whole, with their kinds; torn and corrupted ones are passed over."""
    return ((kind, line) for kind, line in read_all_lines(path) if kind is not None)


def read_lines_of(kind: Kind, path: Path) -> Iterator[bytes]:
    """The undamaged lines of one kind; what others hold is not looked at."""
    letter = _LETTERS[kind]
    with path.open("rb") as segment:
        return (line for line in segment.readlines() if line[9:10] == letter and _kind(line) is kind)


def read_all_lines(path: Path) -> Iterator[tuple[Kind | None, bytes]]:
    """All lines of a segment with their kinds; None for what is torn or corrupted."""
    with path.open("rb") as segment:
        for line in segment:
            yield _kind(line), line


def event_id(line: bytes) -> str:
    """The event id in an intent's or outcome's line."""
    return str(orjson.loads(line[11:])["client_metadata"]["event_id"])


def _kind(line: bytes) -> Kind | None:
    if len(line) < 13 or line[-1:] != b"\n" or line[8:9] != b" ":
        return None
    return _KINDS.get(line[9:10]) if line[:8].lower() == b"%08x" % zlib.crc32(line[9:-1]) else None
