"""What lies in a spool and is not of it: named once, and left alone."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from gateway_batch.usage.manifests import TABLE, Manifests
from gateway_batch.usage.segment_names import host_of
from gateway_batch.usage.spool_folders import (
    LOCK,
    PARTS,
    UNFINISHED,
    UNKNOWN_FILE,
    active_dir,
    drain_dir,
    is_file,
    is_folder,
    sealed_dir,
    sealed_segments,
)

_PROBE = re.compile(r"\.?probe-[0-9a-f]+(-\d+)?")
_IN_A_WRITERS = re.compile(rf"{LOCK}|\d+\.log|{UNKNOWN_FILE}|{UNFINISHED.pattern}", re.ASCII)
_MOST_NAMED = 10_000

_named: set[Path] = set()


def strangers(spool_dir: Path) -> list[Path]:
    """Files and folders in a spool's folders that no version of this package made, or that can't be read."""
    return sorted(
        [
            *(path for path in _in(spool_dir) if path.name in PARTS and not is_folder(path)),
            *_in_active(active_dir(spool_dir)),
            *_in_sealed(spool_dir),
            *_in_drain(spool_dir),
        ]
    )


def shown(path: Path | str) -> str:
    """A path or a name as text that any log or terminal takes: what is not printable is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(path))


def warn_once(log: logging.Logger, path: Path, text: str) -> None:
    """Warns of a path, the first time in this process."""
    if path not in _named and len(_named) < _MOST_NAMED:
        _named.add(path)
        log.warning("%s", text)


def _in_active(folder: Path) -> Iterator[Path]:
    for path in _in(folder):
        if host_of(path.name.removeprefix(".")) is None or not is_folder(path):
            yield path
        else:
            yield from (each for each in _in(path) if not (_IN_A_WRITERS.fullmatch(each.name) and is_file(each)))


def _in_sealed(spool_dir: Path) -> Iterator[Path]:
    if sealed_dir(spool_dir).is_dir():
        known = {path for path, _ in sealed_segments(spool_dir)}
        yield from (path for path in _in(sealed_dir(spool_dir)) if path not in known and _still_there(path))


def _in_drain(spool_dir: Path) -> Iterator[Path]:
    ids = Manifests(spool_dir).id_files()
    for path in _in(drain_dir(spool_dir)):
        if TABLE.fullmatch(path.name) and is_folder(path) and path.name != LOCK:
            known = Manifests.files_in(path)
            yield from (each for each in _in(path) if each not in known and _still_there(each))
        elif path not in ids and not (path.name == LOCK and is_file(path)):
            yield path


def _in(folder: Path) -> list[Path]:
    """What is in a folder, our own probes left out; the folder itself if it can't be read."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if not _PROBE.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    except OSError:
        return [folder]


def _still_there(path: Path) -> bool:
    return os.path.lexists(path)
