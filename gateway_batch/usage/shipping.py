"""Copying sealed segments from a host's own spool folder to one that is shared.

Only what any mounted folder can do is asked of the shared one: writing a file from end to end, listing, deleting. A
segment is deleted here once it is whole there. Should the process die in between, it is copied once more, and the drain
knows it by its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

from gateway_batch.errors import ConfigError, LedgerError
from gateway_batch.local_files.private import NotPrivateError, make_private, open_private, own_temporary_folder
from gateway_batch.usage.foreign_files import shown, warn_once
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.spool_folders import is_file, prepare, sealed_dir, sealed_segments

_log = logging.getLogger(__name__)


def local_folder_for(spool_dir: str | Path, base: str | None = None) -> Path:
    """Where the processes of this host keep the records that are on their way to a shared folder.

    Args:
        spool_dir: the shared folder.
        base: a folder of this host, not looked at here: `prepare` is to; None: one in its temporary folder.

    Raises:
        ConfigError: the one in the temporary folder is another user's.
    """
    key = hashlib.sha256(os.fsencode(spool_dir)).hexdigest()[:16]
    if base:
        return Path(base).expanduser() / key
    try:
        own = own_temporary_folder("spool", key)
        with contextlib.suppress(OSError):
            make_private(own.parent)
    except NotPrivateError as error:
        raise ConfigError(str(error)) from None
    return own


def ship(local: Path, spool_dir: Path) -> int:
    """Copies what is sealed; returns how many segments that were. One whose name a stranger has there stays here.

    Any number of processes of a host may do it at once.

    Args:
        local: this host's folder.
        spool_dir: the shared one.

    Raises:
        LedgerError: it can't be written. The rest stays here; the next try may succeed.
    """
    shipped = 0
    for path, name in sealed_segments(local):
        target = sealed_dir(spool_dir) / str(replace(name, copied=True))
        try:
            shipped += _copy(path, name, target)
        except OSError as error:
            raise LedgerError(
                f"usage records can't be copied to the spool folder {spool_dir} ({error.strerror}); they are safe in "
                f"{local} on this host, and are copied with the next ones"
            ) from error
    return shipped


def ship_leftovers(local: Path, spool_dir: Path) -> int:
    """Seals what dead processes of this host left, and copies all that is sealed; returns how many segments.

    Both folders have been prepared.

    Raises:
        LedgerError: one of the folders can't be written.
    """
    recover_dead_writers(local)
    return ship(local, spool_dir)


def ship_if_private(local: Path, spool_dir: Path) -> int:
    """As `ship_leftovers`, where this host may have no folder, or one that another user made: named, and left alone.

    Raises:
        LedgerError: the shared folder can't be written.
    """
    if not local.is_dir():
        return 0
    try:
        prepare(local)
    except LedgerError as error:
        warn_once(_log, local, f"what this host keeps in {shown(local)} is not copied: {error.__cause__ or error}")
        return 0
    return ship_leftovers(local, spool_dir)


def _copy(path: Path, name: SegmentName, target: Path) -> bool:
    try:
        source = path.open("rb")
    except FileNotFoundError:  # another process has copied it
        return False
    except PermissionError:
        warn_once(_log, path, f"{shown(path)} can't be read: left where it is")
        return False
    with source:
        fcntl.flock(source, fcntl.LOCK_EX)
        if not path.exists():
            return False
        if os.path.lexists(target) and not is_file(target):
            warn_once(_log, target, f"{shown(target)} is not of the spool: {path.name} can't be copied, and stays here")
            return False
        if not _is_whole(target, name.size):
            with os.fdopen(open_private(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as copy:
                shutil.copyfileobj(source, copy)
        path.unlink()
        return True


def _is_whole(target: Path, size: int) -> bool:
    """Whether a segment has been copied; what has its name and is no file is no copy."""
    try:
        found = target.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size
