"""Folders and files that only this user may use, also where other users of the host can write, as in `/tmp`.

Modes hold whatever the umask is. What another user made first could be read by that user, or be exchanged at any time:
`make_private` and the checks refuse it where anybody can make a folder, as in `/tmp`. Elsewhere a folder that is there
is used as it is, whoever made it. A folder may be reached through a link, a file may not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

from gateway_batch.local_files.machine import on_local_disk

_FOLDER, _FILE = 0o700, 0o600


class NotPrivateError(PermissionError):
    """A folder or file is another user's, or a link. `strerror` says whose and what to do; `filename` is its path."""

    def __init__(self, path: Path, why: str, instead: str) -> None:
        says = f"{path} {why}, so that others could read what is in there or put something false there: {instead}"
        super().__init__(errno.EPERM, says, str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def make_private(path: Path, instead: str = "remove it") -> None:
    """Makes a folder and those above it that are missing, with mode 0700 each. What is there stays as it is.

    Args:
        path: the folder.
        instead: what to do if it is another user's.

    Raises:
        NotPrivateError: another user was first with one of them, at the latest while they were made.
        OSError: it can't be made.
    """
    missing = []
    for each in (path, *path.parents):
        if os.path.lexists(each):
            break
        missing.append(each)
    for each in reversed(missing):
        try:
            each.mkdir(mode=_FOLDER)
        except FileExistsError:  # another process of this user, or another user
            check_own(each, instead)
        else:
            with contextlib.suppress(OSError):  # it may have been removed again
                each.chmod(_FOLDER)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    check_not_planted(path, instead)


def check_own(path: Path, instead: str) -> None:
    """Sees that a folder is this user's own and no link, and takes others' rights to it away.

    Args:
        path: the folder; nothing is done where there is none.
        instead: what to do if it is not.

    Raises:
        NotPrivateError: it is not.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except PermissionError:
        raise NotPrivateError(path, f"is the folder of another user ({_owner(path)})", instead) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotPrivateError(path, "is a link or no folder", instead) from None
        raise
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid():
            raise NotPrivateError(path, f"is the folder of another user ({found.st_uid})", instead)
        if stat.S_IMODE(found.st_mode) & 0o077:
            with contextlib.suppress(PermissionError):  # a mount that keeps no modes
                os.fchmod(folder, _FOLDER)
    finally:
        os.close(folder)


def own_temporary_folder(*parts: str) -> Path:
    """A place in this user's folder in the host's temporary folder. Nothing is made; what is there is checked.

    Args:
        parts: of the path in there, each checked as far as it is there.

    Raises:
        NotPrivateError: another user made one of the folders.
    """
    base = Path(tempfile.gettempdir())
    instead = "remove it, or set TMPDIR to a folder that only this user can write"
    check_not_planted(base, instead)
    folder = base / f"gateway_batch-{os.getuid()}"
    check_own(folder, instead)
    for part in parts:
        folder = folder / part
        check_own(folder, instead)
    return folder


def check_not_planted(path: Path, instead: str) -> None:
    """Sees that no folder on a path was made by another user where anybody can make one, as in `/tmp`.

    A mount that is not a disk of this machine is not looked at: what owners mean there is up to it.

    Raises:
        NotPrivateError: one was.
    """
    trusted = (os.geteuid(), 0)
    for each in (path, *path.parents):
        try:
            planted = os.lstat(each).st_uid not in trusted and os.stat(each.parent).st_mode & stat.S_IWOTH
        except OSError:
            continue
        if planted and on_local_disk(each.parent):
            raise NotPrivateError(each, f"is of another user ({_owner(each)})", instead)


def check_part(path: Path, whole: Path, instead: str) -> None:
    """Sees that a folder is no link, and of this user or the one whose folder it is a part of.

    Raises:
        NotPrivateError: it is not.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotPrivateError(path, "is a link or no folder", instead)
    if found.st_uid not in (os.geteuid(), 0, whole.stat().st_uid) and on_local_disk(whole):
        raise NotPrivateError(path, f"is of another user ({found.st_uid})", instead)


def open_private(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Opens a file, made with mode 0600 if missing; never what a link leads to, and without waiting for anybody.

    Whose file it is isn't looked at: its folder decides who can put one there.

    Raises:
        OSError: it is a link, a folder or no file (ENXIO), or can't be opened.
    """
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _FILE)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.ENXIO, "is no file", str(path))


def write_private(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes a whole file of mode 0600 in place of what is there.

    Args:
        path: the file.
        content: all of it.
        durable: whether it must be on the disk when this returns.

    Raises:
        OSError: it can't be written.
    """
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _owner(path: Path) -> str:
    try:
        return str(os.lstat(path).st_uid)
    except OSError:
        return "unknown"
