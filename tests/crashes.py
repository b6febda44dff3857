"""Death at a chosen step: a forked process is killed just before its n-th change to a file."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from py4j.java_gateway import JavaMember

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
_FINISHED, _FAILED = 0, 7


class Steps:
    """Counts a process's changes to files below some folders, and ends it without warning before the chosen one."""

    def __init__(self, fatal: int, below: Iterable[Path]) -> None:
        self._left = fatal
        self._below = [os.fspath(path) for path in below]

    def watch(self) -> None:
        """For the rest of the process, which must be one of its own."""
        write = os.write

        def counted_write(fd: int, data: Any) -> int:
            if self._is_ours(_path_of(fd)):
                self.take()
            return write(fd, data)

        os.write = counted_write
        sys.addaudithook(self._hear)

    def take(self) -> None:
        """One step."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path, changes = arguments[0] if arguments else None, event in CHANGES
        if changes and self._is_ours(_path_of(path) if isinstance(path, int) else path):
            self.take()

    def _is_ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(tuple(self._below))


def dies_before(step: int, below: Iterable[Path], work: Callable[[], object], java: Iterable[str] = ()) -> bool:
    """Does work in a forked process that is killed before its step-th change below some folders.

    Args:
        step: from 1.
        below: the folders.
        work: run in a thread, so that it opens a connection of its own to the JVM, if it uses one.
        java: names of Java methods; a call of one is two steps, one before and one after.

    Returns:
        Whether it was killed; False if it was through before.
    """
    pid = os.fork()
    if pid == 0:
        gc.disable()  # a Java object collected here would be the parent's
        steps, failed = Steps(step, below), threading.Event()

        def run() -> None:
            try:
                work()
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                failed.set()

        steps.watch()
        _count_calls(steps, set(java))
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        os._exit(_FAILED if failed.is_set() else _FINISHED)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == _FINISHED, "the work failed by itself"
    return False


def _count_calls(steps: Steps, names: set[str]) -> None:
    call = JavaMember.__call__

    def counted_call(member: JavaMember, *arguments: Any) -> Any:
        if member.name not in names:
            return call(member, *arguments)
        steps.take()
        answer = call(member, *arguments)
        steps.take()
        return answer

    JavaMember.__call__ = counted_call


def _path_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")
