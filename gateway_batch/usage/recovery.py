"""Recovers what dead processes left in the spool.

A writer is dead when its locks can be had where they could be seen (`writer_locks`). Every step can be repeated after a
crash without losing or doubling a line: files only ever move, and the one file that is made, `unknown.log`, is made
before any segment moves and moves after all of them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import time
from pathlib import Path

from gateway_batch.local_files.private import open_private
from gateway_batch.usage.foreign_files import shown, warn_once
from gateway_batch.usage.segment import Kind, as_outcome, event_id, header, read_lines
from gateway_batch.usage.segment_names import SegmentName, host_of
from gateway_batch.usage.spool_folders import (
    LOCK,
    UNKNOWN_FILE,
    active_dir,
    active_segments,
    is_file,
    is_folder,
    sealed_dir,
    unfinished_files,
    writer_dirs,
)
from gateway_batch.usage.writer_locks import Life, WriterLocks, examined, segment_origin

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNSEEN_FOR_S = 3_600.0

_log = logging.getLogger(__name__)


def recover_dead_writers(spool_dir: Path) -> int:
    """Seals the segments of processes that are proven dead; returns how many writers there were.

    An intent without an outcome becomes a row of unknown outcome: the writer is dead and all its segments are read.
    Writers of another machine on a mount are left alone: a lock proves nothing there. A folder that can't be read is
    named in a warning, and is no hindrance to the others.

    Raises:
        OSError: the disk is full or read-only, or the spool folder can't be read.
    """
    recovered = 0
    for folder in writer_dirs(spool_dir):
        try:
            recovered += _recover(folder, spool_dir)
        except FileNotFoundError:  # another recovery was here
            continue
        except (OSError, ValueError, LookupError, TypeError) as error:
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                raise
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            warn_once(_log, folder, f"{shown(folder)} can't be recovered ({why}): its records stay there")
    _remove_unseen(spool_dir)
    return recovered


def _recover(folder: Path, spool_dir: Path) -> bool:
    with examined(folder) as life:
        if life is not Life.DEAD:
            return False
        had_lock = is_file(folder / LOCK)
        segments = active_segments(folder)
        unknown = folder / UNKNOWN_FILE
        if os.path.lexists(unknown) and not is_file(unknown):
            raise OSError(errno.EEXIST, f"{UNKNOWN_FILE} is no file")
        if segments and not is_file(unknown):
            _write_unknown(segments, unknown, folder.name)
        for path in [*segments, unknown]:
            if is_file(path):
                _seal(path, folder.name, spool_dir)
        for path in unfinished_files(folder):  # of a recovery that died
            path.unlink(missing_ok=True)
        if had_lock:
            (folder / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what is not of the spool stays
            folder.rmdir()
    return had_lock or bool(segments)


def _write_unknown(segments: list[Path], unknown: Path, writer: str) -> None:
    pending: dict[str, bytes] = {}
    for path in segments:
        for kind, line in read_lines(path):
            if kind is Kind.INTENT:
                pending[event_id(line)] = as_outcome(line)
            elif kind is Kind.OUTCOME:
                pending.pop(event_id(line), None)
    partial = unknown.with_suffix(f".{secrets.token_hex(4)}.tmp")
    os.close(open_private(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    partial.write_bytes(header(writer, segment_origin(unknown.parent)) + b"".join(pending.values()))
    partial.rename(unknown)


def _seal(path: Path, writer: str, spool_dir: Path) -> None:
    kinds = [kind for kind, _ in read_lines(path)]
    if Kind.OUTCOME in kinds or Kind.TASK in kinds:
        name = SegmentName(writer, path.stem, kinds.count(Kind.OUTCOME), path.stat().st_size)
        path.rename(sealed_dir(spool_dir) / str(name))
    else:
        path.unlink()


def _remove_unseen(spool_dir: Path) -> None:
    """Removes the folders of writers that died before they had both their locks and their name."""
    for folder in active_dir(spool_dir).glob(".*"):
        if host_of(folder.name[1:]) is None or not is_folder(folder):
            continue
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - _UNSEEN_FOR_S and (locks := WriterLocks.take(folder)):
                try:
                    (folder / LOCK).unlink(missing_ok=True)
                    folder.rmdir()
                finally:
                    locks.release()
