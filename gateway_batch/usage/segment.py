"""The line format of the spool.

A line is `<crc32 of the rest, 8 hex digits> <kind> <JSON>`. Kinds: `H` a segment's header with the format's version,
`I` an intent, written before a request's bytes leave, `O` an outcome, `T` a task's summary (`task_summary`). Intent and
outcome both hold a whole usage record, most columns that are NULL left out: an outcome needs no other line to become a
row, and an intent whose writer died is a row of unknown outcome as it stands. Readers take a line only if its checksum
holds.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from gateway_batch.usage.record import UsageRecord
from gateway_batch.usage.segment_names import key_of_table

FORMAT_VERSION = 2
"""Of segments that name their table, which version 0.1 would drain into another: it leaves a newer format alone."""

_WITHOUT_TABLE = 1
_LONGEST_LINE = 64 << 20
_LONGEST_HEADER = 65_536


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a segment comes from, and where its records go.

    Attributes:
        table: the usage table that they are for; None: the one of whoever drains them, as in version 0.1.
        boot: the writer's `boot_id`; None where it is not known.
        machine: its `machine_id`.
        folder_locked: whether the writer holds a lock of its folder besides that of its file `lock`.
    """

    table: str | None = None
    boot: str | None = None
    machine: str | None = None
    folder_locked: bool = False

    @classmethod
    def of(cls, header: dict[str, Any]) -> Self:
        """Of a header's content; what it doesn't have, or has in another form, is not known."""
        table, boot, machine = (_text(header.get(name)) for name in ("table", "boot", "machine"))
        return cls(table, boot, machine, header.get("folder_locked") is True)


def header(writer: str, origin: Origin = Origin()) -> bytes:
    """A segment's first line."""
    known = {name: value for name, value in asdict(origin).items() if value}
    version = _WITHOUT_TABLE if origin.table is None and key_of_table(writer) is None else FORMAT_VERSION
    return line_of(Kind.HEADER, {"format": version, "writer": writer, **known})


def format_of(path: Path) -> int | None:
    """The version of a segment's format; the present one where its header is damaged, None where it says none."""
    found = _header_of(path)
    version = FORMAT_VERSION if found is None else found.get("format")
    return version if isinstance(version, int) else None


def origin_of(path: Path) -> Origin | None:
    """What a segment's header says of its origin; None where it is damaged."""
    found = _header_of(path)
    return None if found is None else Origin.of(found)


def _header_of(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as segment:
        line = segment.readline(_LONGEST_HEADER)
    if _kind(line) is not Kind.HEADER:
        return None
    try:
        found = orjson.loads(line[11:])
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def read_lines(path: Path) -> Iterator[tuple[Kind, bytes]]:
    """The undamaged lines of a segment, whole, with their kinds; torn and corrupted ones are passed over."""
    return ((kind, line) for kind, line in read_all_lines(path) if kind is not None)


def read_lines_of(kind: Kind, path: Path) -> Iterator[bytes]:
    """The undamaged lines of one kind; what others hold is not looked at."""
    letter = _LETTERS[kind]
    with path.open("rb") as segment:
        yield from (line for line in lines_in(segment) if line[9:10] == letter and _kind(line) is kind)


def read_all_lines(path: Path) -> Iterator[tuple[Kind | None, bytes]]:
    """All lines of a segment with their kinds; None for what is torn or corrupted."""
    with path.open("rb") as segment:
        for line in lines_in(segment):
            yield _kind(line), line


def lines_in(segment: BinaryIO) -> Iterator[bytes]:
    """The lines from where a file is on, in pieces where they are longer than any record's, without holes then."""
    while line := segment.readline(_LONGEST_LINE):
        yield line
        if len(line) == _LONGEST_LINE:
            _skip_hole(segment)


def _skip_hole(file: BinaryIO) -> None:
    at, buffered_to = file.tell(), os.lseek(file.fileno(), 0, os.SEEK_CUR)
    try:
        data = os.lseek(file.fileno(), at, os.SEEK_DATA)
    except OSError as error:
        data = os.fstat(file.fileno()).st_size if error.errno == errno.ENXIO else at  # else the mount can't say
    os.lseek(file.fileno(), buffered_to, os.SEEK_SET)
    file.seek(data)


def event_id(line: bytes) -> str:
    """The event id in an intent's or outcome's line; empty where the line is no record."""
    try:
        return str(orjson.loads(line[11:])["client_metadata"]["event_id"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _kind(line: bytes) -> Kind | None:
    if len(line) < 13 or line[-1:] != b"\n" or line[8:9] != b" ":
        return None
    return _KINDS.get(line[9:10]) if line[:8].lower() == b"%08x" % zlib.crc32(line[9:-1]) else None
