"""The names of writers and sealed segments, which say what a reader must know before it opens one."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"
"""In place of a number: what recovery made of a dead writer's open intents."""

_SESSION_CATALOG = "spark_catalog."
_WRITER = re.compile(r"(?P<host>.+)-\d+-[0-9a-f]{8}(?P<table>t[0-9a-f]{12})?", re.DOTALL)


def one_spelling(table: str) -> str:
    """A usage table's name as it is, however it is spelled: in small letters, without Spark's own catalog."""
    return table.lower().removeprefix(_SESSION_CATALOG)


def table_key(table: str) -> str:
    """What stands for a usage table in names: the same however its name is spelled."""
    return f"t{hashlib.sha256(one_spelling(table).encode()).hexdigest()[:12]}"


def writer_name(table: str | None = None) -> str:
    """A new name for a writer of this process: host, process, chance, and the table that its records are for."""
    name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
    return name if table is None else f"{name}{table_key(table)}"


def host_of(writer: str) -> str | None:
    """The host's name in a writer's; None if it is none of a writer, as one that can't be printed."""
    found = _WRITER.fullmatch(writer) if writer.isprintable() else None
    return None if found is None else found["host"]


def key_of_table(writer: str) -> str | None:
    """Which table a writer's records are for, by `table_key`; None where its name doesn't say."""
    found = _WRITER.fullmatch(writer)
    return None if found is None else found["table"]


@dataclass(frozen=True, slots=True)
class SegmentName:
    """`<writer>-<number>.<rows>.<size>.log`, or `.copy` at the end.

    Attributes:
        writer: unique for each writer of any process of any host.
        number: six digits, counted by the writer, or `unknown`.
        rows: outcomes that were written into it; 0 where it holds only summaries of tasks.
        size: in bytes, when it is complete.
        copied: whether it came from another folder, so that a smaller file may still be on its way; one that is not
            was moved here whole.
    """

    writer: str
    number: str
    rows: int
    size: int
    copied: bool = False

    def __str__(self) -> str:
        return f"{self.writer}-{self.number}.{self.rows}.{self.size}.{'copy' if self.copied else 'log'}"

    @property
    def place(self) -> int:
        """Its place among the writer's segments; -1 for what recovery made."""
        return -1 if self.number == UNKNOWN else int(self.number)

    @classmethod
    def of(cls, path: Path) -> SegmentName | None:
        """The parts of a file's name; None if it is no segment's."""
        parts = path.name.rsplit(".", 3) if path.name.isprintable() else []
        if len(parts) != 4 or parts[3] not in ("log", "copy") or not (_is_number(parts[1]) and _is_number(parts[2])):
            return None
        writer, _, number = parts[0].rpartition("-")
        if not writer or not (_is_number(number) or number == UNKNOWN):
            return None
        return cls(writer, number, int(parts[1]), int(parts[2]), copied=parts[3] == "copy")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
