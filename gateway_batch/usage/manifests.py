"""What drains write down before they commit: which segments a commit takes.

Only what any mounted folder can do is asked of the file system: writing a file from end to end, listing, deleting.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway_batch.usage.processed_segments import ProcessedSegments

_NONCE_BITS = 32


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
        drain, _, numbers = text.rpartition("#")
        counter, _, nonce = numbers.partition("-")
        return cls(drain, int(counter), int(nonce, 16)) if drain and counter.isdigit() and nonce else None

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
    """

    segments: tuple[str, ...]
    processed: ProcessedSegments


class Manifests:
    """The manifests of a spool folder.

    Layout: `drain/id-<hex>` names the folder, `drain/<table>/<counter>-<nonce>.json` is a manifest.

    Args:
        spool_dir: the spool folder.
    """

    def __init__(self, spool_dir: Path) -> None:
        self._folder = spool_dir / "drain"

    def drain_id(self) -> str:
        """The folder's id, made at the first call: the first of those that drains may have made at once."""
        if not (made := self._ids()):
            (self._folder / f"id-{secrets.token_hex(8)}").touch()
            made = self._ids()
        return f"gateway_batch-{made[0]}"

    def tables(self) -> list[str]:
        """Names of tables that the folder was drained into."""
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def write(self, table: str, commit_id: CommitId, manifest: Manifest) -> None:
        """Writes a manifest down."""
        path = self._path(table, commit_id)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        content = {"format": 1, "segments": manifest.segments, "drained": manifest.processed.as_json()}
        with path.open("wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            os.fsync(file.fileno())  # the commit must not outlive it

    def read(self, table: str, commit_id: CommitId) -> Manifest | None:
        """The manifest of a commit; None if it is gone."""
        try:
            content = orjson.loads(self._path(table, commit_id).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return Manifest(tuple(content["segments"]), ProcessedSegments(content["drained"]))

    def remove_before(self, table: str, last: CommitId) -> None:
        """Removes those of a table that no commit needs any more, once its last commit is known."""
        for path, counter, nonce in self._all(table):
            if counter <= last.counter and (counter, nonce) != (last.counter, last.nonce):
                path.unlink(missing_ok=True)

    def last_counter(self, table: str) -> int:
        """The highest counter of a table's manifests, committed or not; 0 if there is none."""
        return max((counter for _, counter, _ in self._all(table)), default=0)

    def _ids(self) -> list[str]:
        return sorted(path.name.partition("-")[2] for path in self._folder.glob("id-*"))

    def _all(self, table: str) -> Iterator[tuple[Path, int, int]]:
        for path in (self._folder / table.lower()).glob("*-*.json"):
            counter, _, nonce = path.stem.partition("-")
            yield path, int(counter), int(nonce, 16)

    def _path(self, table: str, commit_id: CommitId) -> Path:
        return self._folder / table.lower() / f"{commit_id.counter:010d}-{commit_id.nonce:08x}.json"
