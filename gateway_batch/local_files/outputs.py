"""What a command writes: next to its place, moved there when it is whole, and never over what it didn't make."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway_batch.errors import ConfigError
from gateway_batch.local_files.locks import locked

_LOCK = "lock"
_NEW_S = 60.0
"""A folder so new may not have its lock yet."""


class Made:
    """The files and folders that commands made, kept in a file. One that was changed since is no longer theirs.

    Args:
        record: the file; made, with its folder, when the first output is.
    """

    def __init__(self, record: Path) -> None:
        self._record = record

    def __contains__(self, path: Path) -> bool:
        return path.exists() and self._read().get(str(path.resolve())) == _fingerprint(path)

    def add(self, path: Path) -> None:
        """Takes one that is there down."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._record.with_suffix(".lock"), where_possible=True):
            known = {name: made for name, made in self._read().items() if Path(name).exists()}
            known[str(path.resolve())] = _fingerprint(path)
            written = self._record.with_suffix(".new")
            written.write_text(json.dumps(known, indent=1), encoding="utf-8")
            written.replace(self._record)

    def _read(self) -> dict[str, list[int]]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._record.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}


def check_output(path: Path, made: Made, inputs: Iterable[Path] = (), *, folder: bool = False) -> None:
    """Sees that writing to a path harms nothing.

    Args:
        path: where a command is to write.
        made: what such commands made.
        inputs: what the same command reads.
        folder: whether it writes a folder there, not a file.

    Raises:
        ConfigError: the path is, has or lies in an input, or something is there that no such command made.
    """
    target = path.resolve()
    for each in inputs:
        source = each.resolve()
        if target == source or target in source.parents or source in target.parents:
            raise ConfigError(f"output: {path} is {_relation(target, source)} the input {each}: name another place")
    if not os.path.lexists(target):
        return
    if not folder and target.is_dir():
        raise ConfigError(f"output: {path} is a folder: name a file")
    if not (target.is_dir() if folder else stat.S_ISREG(target.stat().st_mode)):
        raise ConfigError(f"output: {path} is no {'folder' if folder else 'file'}: name another place")
    if target not in made and not (folder and not any(target.iterdir())):
        raise ConfigError(
            f"output: {path} is there, and this command did not make it, or it was changed since: name another place, "
            "or remove it"
        )


@contextlib.contextmanager
def staging_folder(path: Path) -> Iterator[Path]:
    """A folder on the same disk as a path, to write into; removed in the end, or by the next who writes there.

    Raises:
        ConfigError: nothing can be written there.
    """
    target = path.resolve()
    prefix = f".{target.name}.gateway_batch-{os.uname().nodename}-"  # another host's locks may not be seen here
    with contextlib.ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_behind(target.parent, prefix)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(locked(folder / _LOCK, where_possible=True))
        except OSError as error:
            raise ConfigError(f"output: {path} can't be written: {error.filename}: {error.strerror}") from None
        yield folder


def _remove_left_behind(parent: Path, prefix: str) -> None:
    """Removes the folders of writers that died: whose lock nobody has any more."""
    for each in parent.iterdir():
        lock = each / _LOCK
        with contextlib.suppress(OSError):
            if each.name.startswith(prefix) and lock.stat().st_mtime < time.time() - _NEW_S:
                with locked(lock, wait=False):
                    shutil.rmtree(each, ignore_errors=True)


def check_text(path: Path, mark: str) -> None:
    """Sees that a text file that has a mark in its first 64 kB may be written to a path.

    Raises:
        ConfigError: something without the mark is there.
    """
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise ConfigError(f"output: {path} is no file: name another place")
    with path.open("rb") as file:
        if mark.encode() not in file.read(65_536):
            raise ConfigError(f"output: {path} is not of gateway_batch's making: name another place, or remove it")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, in UTF-8; what is there stays until the new one is whole.

    Raises:
        ConfigError: nothing can be written there.
    """
    with staging_folder(path) as folder:
        new = folder / "new"
        new.write_text(text, encoding="utf-8")
        new.replace(path.resolve())


def _relation(target: Path, source: Path) -> str:
    if target == source:
        return "the same as"
    return "a folder around" if target in source.parents else "inside"


def _fingerprint(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_ino] if path.is_dir() else [found.st_ino, found.st_size, found.st_mtime_ns]
