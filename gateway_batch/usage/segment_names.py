"""The names of sealed segments, which say what a reader must know before it opens one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"
"""In place of a number: what recovery made of a dead writer's open intents."""


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
        parts = path.name.rsplit(".", 3)
        if len(parts) != 4 or parts[3] not in ("log", "copy") or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        writer, _, number = parts[0].rpartition("-")
        if not writer or not (number.isdigit() or number == UNKNOWN):
            return None
        return cls(writer, number, int(parts[1]), int(parts[2]), copied=parts[3] == "copy")
