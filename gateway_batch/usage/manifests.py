"""What drains write down before they commit: which segments a commit takes.

Only what any mounted folder can do is asked of the file system: writing a file from end to end, listing, deleting.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway_batch.local_files.private import make_private, open_private, write_private
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.segment_names import SegmentName, table_key
from gateway_batch.usage.spool_folders import drain_dir, is_file, is_folder

TABLE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+){0,2}", re.ASCII)
"""What a table's folder may be named."""

_NONCE_BITS = 32
_MOST_COMMITS = 2**30
_MOST_BYTES = 64 << 20
_FORMAT = 1
_ID = re.compile(r"id-[0-9a-f]{16}", re.ASCII)
_TEXT = re.compile(r"(?P<drain>.+)#(?P<counter>\d{1,10})-(?P<nonce>[0-9a-f]{8})", re.ASCII)
_NAME = re.compile(r"(?P<counter>\d{10})-(?P<nonce>[0-9a-f]{8})\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class CommitId:
    """What a drain's commit has in the table's log.

    Attributes:
        drain: the spool folder's own id.
        counter: of the folder's commits to the table, from 1.
        nonce: distinguishes drains that try the same counter at once; only one commits.
    """

    drain: str
    counter: int
    nonce: int

    @classmethod
    def after(cls, drain: str, counter: int) -> CommitId:
        """For the commit after that of a counter, 0 for a folder's first."""
        return cls(drain, counter + 1, 1 + secrets.randbelow(2**_NONCE_BITS - 1))

    @classmethod
    def of_version(cls, drain: str, version: int) -> CommitId:
        """From its transaction version."""
        return cls(drain, version >> _NONCE_BITS, version & (2**_NONCE_BITS - 1))

    @classmethod
    def of_text(cls, text: str) -> CommitId | None:
        """From its text; None if it is none."""
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(found["drain"], int(found["counter"]), int(found["nonce"], 16))

    @property
    def version(self) -> int:
        """As a transaction version: 63 bits, growing with the counter."""
        return self.counter << _NONCE_BITS | self.nonce

    @property
    def text(self) -> str:
        """As text in the table's history."""
        return f"{self.drain}#{self.counter}-{self.nonce:08x}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one commit takes.

    Attributes:
        segments: names of the files.
        processed: all that the folder's commits to the table have taken, this one included.
        complete: whether it is all of them; not, once a manifest was lost.
    """

    segments: tuple[str, ...] = ()
    processed: ProcessedSegments = field(default_factory=ProcessedSegments)
    complete: bool = True


class Manifests:
    """The manifests of a spool folder.

    Layout: `drain/id-<hex>` names the folder, `drain/<table>/<counter>-<nonce>.json` is a manifest.

    Args:
        spool_dir: the spool folder.
    """

    def __init__(self, spool_dir: Path) -> None:
        self._folder = drain_dir(spool_dir)

    def drain_id(self) -> str:
        """The folder's id, made at the first call: the first of those that drains may have made at once."""
        if not (made := self.id_files()):
            os.close(open_private(self._folder / f"id-{secrets.token_hex(8)}"))
            made = self.id_files()
        return f"gateway_batch-{made[0].name.partition('-')[2]}"

    def id_files(self) -> list[Path]:
        """The files that name the folder, the one that counts first."""
        return sorted(path for path in self._folder.glob("id-*") if _ID.fullmatch(path.name) and is_file(path))

    def tables(self) -> list[str]:
        """Names of tables that the folder was drained into."""
        folders = (path for path in self._folder.iterdir() if TABLE.fullmatch(path.name) and is_folder(path))
        return sorted(path.name for path in folders if self.files_in(path))

    def write(self, table: str, commit_id: CommitId, manifest: Manifest) -> None:
        """Writes a manifest down."""
        path = self._path(table, commit_id)
        make_private(path.parent)
        content = {
            "format": _FORMAT,
            "segments": manifest.segments,
            "drained": manifest.processed.as_json(),
            "complete": manifest.complete,
        }
        write_private(path, orjson.dumps(content), durable=True)  # the commit must not outlive it

    def read(self, table: str, commit_id: CommitId) -> Manifest | None:
        """The manifest of a commit; None if it is gone or damaged."""
        for path, counter, nonce in self._all(table):
            if (counter, nonce) == (commit_id.counter, commit_id.nonce) and (found := _read(path)) is not None:
                return found
        return None

    def has(self, table: str, commit_id: CommitId) -> bool:
        """Whether a commit's manifest is there, be it damaged."""
        return any((counter, nonce) == (commit_id.counter, commit_id.nonce) for _, counter, nonce in self._all(table))

    def remove_before(self, table: str, last: CommitId) -> None:
        """Removes those of a table that no commit needs any more, once its last commit is known."""
        for path, counter, nonce in self._all(table):
            if counter <= last.counter and (counter, nonce) != (last.counter, last.nonce):
                path.unlink(missing_ok=True)

    def last_counter(self, table: str) -> int:
        """The highest counter of a table's manifests, committed or not; 0 if there is none."""
        return max((counter for _, counter, _ in self._all(table)), default=0)

    @staticmethod
    def files_in(folder: Path) -> list[Path]:
        """What may be manifests in a table's folder, by their names; empty where it can't be read."""
        return [path for path, _, _ in _named_in(folder)]

    def _all(self, table: str) -> Iterator[tuple[Path, int, int]]:
        """Those of a table, however its name was spelled when they were written."""
        own, key = table.lower(), table_key(table)
        spelled = [name for name in self.tables() if name != own and table_key(name) == key]
        for name in (own, *spelled):
            yield from _named_in(self._folder / name)

    def _path(self, table: str, commit_id: CommitId) -> Path:
        return self._folder / table.lower() / f"{commit_id.counter:010d}-{commit_id.nonce:08x}.json"


def _named_in(folder: Path) -> list[tuple[Path, int, int]]:
    found = []
    for path in folder.glob("*-*.json"):
        name = _NAME.fullmatch(path.name)
        if name is not None and int(name["counter"]) <= _MOST_COMMITS and is_file(path):
            found.append((path, int(name["counter"]), int(name["nonce"], 16)))
    return found


def _read(path: Path) -> Manifest | None:
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            content = orjson.loads(file.read(_MOST_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(content, dict) or content.get("format", _FORMAT) != _FORMAT:
        return None
    segments, drained = content.get("segments"), content.get("drained")
    if not (isinstance(segments, list) and all(map(_is_segment, segments)) and _are_ranges(drained)):
        return None
    return Manifest(tuple(segments), ProcessedSegments(drained), content.get("complete") is not False)


def _is_segment(name: Any) -> bool:
    return isinstance(name, str) and name == Path(name).name and SegmentName.of(Path(name)) is not None


def _are_ranges(drained: Any) -> bool:
    return isinstance(drained, dict) and all(
        isinstance(spans, list)
        and all(isinstance(span, list) and len(span) == 2 and all(type(at) is int for at in span) for span in spans)
        for spans in drained.values()
    )
