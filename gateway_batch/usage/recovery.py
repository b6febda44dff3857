"""Recovers what dead processes left in the spool.

A writer is dead when its lock can be had: the system lets it go with the process. Every step can be repeated after a
crash without losing or doubling a line: files only ever move, and the one file that is made, `unknown.log`, is made
before any segment moves and moves after all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from gateway_batch.usage.segment import Kind, as_outcome, event_id, header, read_lines
from gateway_batch.usage.segment_names import UNKNOWN, SegmentName
from gateway_batch.usage.spool import active_dir, is_local, sealed_dir

_UNKNOWN = f"{UNKNOWN}.log"


def recover_dead_writers(spool_dir: Path) -> int:
    """Seals the segments of this host's processes that died; returns how many writers there were.

    An intent without an outcome becomes a row of unknown outcome: the writer is dead and all its segments are read.
    Writers of other hosts are left alone: a lock proves nothing across hosts on every kind of mount.
    """
    folders = [folder for folder in sorted(active_dir(spool_dir).iterdir()) if is_local(folder.name)]
    recovered = sum(_recover(folder, spool_dir) for folder in folders)
    for folder in folders:
        with contextlib.suppress(OSError):  # what a recovery that died left: an empty folder, its lock gone
            folder.rmdir()
    return recovered


def _recover(folder: Path, spool_dir: Path) -> bool:
    lock = _take_lock(folder / "lock")
    if lock is None:
        return False
    try:
        segments = sorted(folder.glob("[0-9]*.log"))
        unknown = folder / _UNKNOWN
        if segments and not unknown.exists():
            _write_unknown(segments, unknown, folder.name)
        for path in [*segments, unknown]:
            if path.exists():
                _seal(path, folder.name, spool_dir)
        with contextlib.suppress(FileNotFoundError):  # another recovery was here between our look and our lock
            (folder / "lock").unlink()
            folder.rmdir()
    finally:
        os.close(lock)
    return True


def _take_lock(path: Path) -> int | None:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # its writer is about to make it, or another recovery has just removed it
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _write_unknown(segments: list[Path], unknown: Path, writer: str) -> None:
    pending: dict[str, bytes] = {}
    for path in segments:
        for kind, line in read_lines(path):
            if kind is Kind.INTENT:
                pending[event_id(line)] = as_outcome(line)
            elif kind is Kind.OUTCOME:
                pending.pop(event_id(line), None)
    partial = unknown.with_suffix(".tmp")
    partial.write_bytes(header(writer) + b"".join(pending.values()))
    partial.rename(unknown)


def _seal(path: Path, writer: str, spool_dir: Path) -> None:
    kinds = [kind for kind, _ in read_lines(path)]
    if Kind.OUTCOME in kinds or Kind.TASK in kinds:
        name = SegmentName(writer, path.stem, kinds.count(Kind.OUTCOME), path.stat().st_size)
        path.rename(sealed_dir(spool_dir) / str(name))
    else:
        path.unlink()
