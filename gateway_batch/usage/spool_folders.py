"""The folders of a spool: where they are, how they are made, and which files in them are segments."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.local_files.private import check_not_planted, check_part, make_private, open_private
from gateway_batch.usage.segment_names import UNKNOWN, SegmentName, host_of

LOCK = "lock"
UNKNOWN_FILE = f"{UNKNOWN}.log"
UNFINISHED = re.compile(rf"{UNKNOWN}(\.[0-9a-f]{{8}})?\.tmp", re.ASCII)
"""The name of what is to become `UNKNOWN_FILE`; version 0.1 had one for all tries."""

PARTS = ("active", "sealed", "drain", "damaged")
_INSTEAD = "set spool_dir or spool_local_dir to a folder below one that only this user can write"


def active_dir(spool_dir: Path) -> Path:
    """Where segments are written."""
    return spool_dir / "active"


def sealed_dir(spool_dir: Path) -> Path:
    """Where complete segments wait for the drain."""
    return spool_dir / "sealed"


def drain_dir(spool_dir: Path) -> Path:
    """Where drains keep their state."""
    return spool_dir / "drain"


def damaged_dir(spool_dir: Path) -> Path:
    """Where drained segments are kept that were damaged."""
    return spool_dir / "damaged"


def segment_path(spool_dir: Path, writer: str, number: int) -> Path:
    """Where a writer's segment is while it is written."""
    return active_dir(spool_dir) / writer / f"{number:06d}.log"


def sealed_segments(spool_dir: Path) -> list[tuple[Path, SegmentName]]:
    """The segments that wait for the drain, and what their names say, in the order of their names.

    A folder or a link of such a name is none, nor is a file that is larger than its name says.
    """
    with os.scandir(sealed_dir(spool_dir)) as entries:
        named = [(Path(entry.path), SegmentName.of(Path(entry.name)), entry) for entry in entries]
    return sorted((path, name) for path, name, entry in named if name is not None and _holds(entry, name.size))


def active_segments(writer_dir: Path) -> list[Path]:
    """The segments of one writer that are not sealed, in order."""
    found = (path for path in writer_dir.glob("[0-9]*.log") if path.stem.isascii() and path.stem.isdigit())
    return sorted(path for path in found if is_file(path))


def unfinished_files(writer_dir: Path) -> list[Path]:
    """What recoveries that died have left in a writer's folder."""
    found = writer_dir.glob(f"{UNKNOWN}*.tmp")
    return [path for path in found if UNFINISHED.fullmatch(path.name) and is_file(path)]


def writer_dirs(spool_dir: Path) -> Iterator[Path]:
    """The folders of writers, in order; what else is there is passed over."""
    for path in sorted(active_dir(spool_dir).iterdir()):
        if host_of(path.name) is not None and not path.name.startswith(".") and is_folder(path):
            yield path


def is_file(path: Path) -> bool:
    """Whether there is a file, and no link to one."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether there is a folder, and no link to one."""
    return stat.S_ISDIR(_mode(path))


def prepare(spool_dir: Path) -> None:
    """Makes the folders, private to the user; those that are there and looser are made so, but for shared ones.

    Raises:
        LedgerError: they can't be made or written, or are another user's.
    """
    try:
        check_not_planted(spool_dir, _INSTEAD)
        with contextlib.suppress(FileExistsError):  # no folder: the next line says so
            spool_dir.parent.mkdir(parents=True, exist_ok=True)
        make_private(spool_dir, _INSTEAD)
        if not any(entry.name not in PARTS for entry in spool_dir.iterdir()):  # else it is not the spool's alone
            _tighten(spool_dir)
        for folder in (active_dir(spool_dir), sealed_dir(spool_dir), drain_dir(spool_dir)):
            make_private(folder, _INSTEAD)
            check_part(folder, spool_dir, _INSTEAD)
            _tighten(folder)
            _try_writing(folder)
    except OSError as error:
        raise LedgerError(
            f"the spool folder {spool_dir} can't be written ({error.strerror}): usage could not be recorded, so "
            "nothing is sent; set spool_dir to a folder that this user can write"
        ) from error


def _try_writing(folder: Path) -> None:
    """Makes a file, without a name where the file system can: a process that is killed meanwhile leaves none."""
    if hasattr(os, "O_TMPFILE"):
        try:
            os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600))
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    probe = folder / f".probe-{secrets.token_hex(4)}"
    os.close(open_private(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    probe.unlink()


def _tighten(folder: Path) -> None:
    """Takes others' rights away, unless the folder has the setgid or sticky bit: it was opened to them on purpose."""
    found = folder.stat()
    opened = found.st_mode & (stat.S_ISGID | stat.S_ISVTX)
    if found.st_mode & 0o077 and not opened and found.st_uid == os.geteuid():
        with contextlib.suppress(OSError):  # a mount that keeps no modes
            folder.chmod(0o700)


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _holds(entry: os.DirEntry[str], size: int) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size <= size
    except OSError:  # sealed segments are drained at any time
        return False
