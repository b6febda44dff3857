"""A small disk for a spool folder, that fills up or becomes read-only. Needs root, and Linux.

The campaign is started in a mount namespace of its own, so that the rest of the machine sees none of this, and all of
it goes with the campaign.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_SIZE = "24m"
_INSIDE = "FAULT_CAMPAIGN_NAMESPACE"
_NAMESPACE = ("unshare", "--mount", "--propagation", "private")


def can_mount() -> bool:
    """Whether this process is in a namespace of its own, where it may mount."""
    return _INSIDE in os.environ


def enter_namespace(arguments: Sequence[str]) -> None:
    """Starts this Python anew in a mount namespace of its own; returns where the system doesn't let it, or it is."""
    if can_mount() or sys.platform != "linux" or os.geteuid() != 0:
        return
    if subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
        os.execvpe(_NAMESPACE[0], [*_NAMESPACE, sys.executable, *arguments], {**os.environ, _INSIDE: "1"})


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 24 MB at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "tmpfs", str(folder))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))  # workers that live on have their locks open


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is left on the folder's disk meanwhile."""
    filler = folder / ".filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextlib.contextmanager
def read_only(folder: Path, aside: Path) -> Iterator[None]:
    """Nothing can be made, renamed or removed in the folder meanwhile, nor opened to be written.

    Files that are open stay writable, so this is a second mount over the first: the kernel makes no mount read-only in
    which files are open.
    """
    aside.mkdir(exist_ok=True)
    _run("mount", "--bind", str(folder), str(aside))
    try:
        _run("mount", "-o", "remount,ro,bind", str(aside))
        _run("mount", "--bind", str(aside), str(folder))
        try:
            yield
        finally:
            _run("umount", "--lazy", str(folder))
    finally:
        _run("umount", "--lazy", str(aside))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
