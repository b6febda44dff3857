"""CPU time of this process's tree, from /proc (Linux): children are sampled, so that those that end count too."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_SAMPLE_EVERY_S = 0.25
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WORKER = b"pyspark.daemon"


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    born: int
    cpu_s: float


class TreeClock:
    """Counts the CPU time that the tree spends inside its `with` block.

    Args:
        without: processes whose CPU time and whose children's are left out.

    Attributes:
        workers_s: seconds of Spark's Python workers, their daemon included.
        tree_s: seconds of all processes, this one included.
    """

    def __init__(self, without: frozenset[int]) -> None:
        self.workers_s = self.tree_s = 0.0
        self._without = without
        self._before: dict[tuple[int, int], float] = {}
        self._spent: dict[tuple[int, int], float] = {}
        self._workers: set[tuple[int, int]] = set()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample_regularly, name="benchmarks.cpu", daemon=True)

    def __enter__(self) -> Self:
        self._before = {(process.pid, process.born): process.cpu_s for process in self._tree()}
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._sampler.join()
        self._sample()
        self.tree_s = sum(self._spent.values())
        self.workers_s = sum(self._spent[key] for key in self._workers)

    def _sample_regularly(self) -> None:
        while not self._ended.wait(_SAMPLE_EVERY_S):
            self._sample()

    def _sample(self) -> None:
        for process in self._tree():
            key = process.pid, process.born
            self._spent[key] = process.cpu_s - self._before.get(key, 0.0)
            if _WORKER in _command(process.pid):
                self._workers.add(key)

    def _tree(self) -> Iterator[_Process]:
        children: dict[int, list[_Process]] = {}
        root = None
        for process in _processes():
            children.setdefault(process.parent, []).append(process)
            root = process if process.pid == os.getpid() else root
        found = [] if root is None else [root]
        while found:
            process = found.pop()
            if process.pid not in self._without:
                yield process
                found += children.get(process.pid, [])


def _processes() -> Iterator[_Process]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield _parse(int(name), Path("/proc", name, "stat").read_bytes())


def _parse(pid: int, stat: bytes) -> _Process:
    """`proc(5)`: the fields after the command, which may hold spaces, begin with the third."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    return _Process(pid, parent=int(fields[1]), born=int(fields[19]), cpu_s=ticks / _TICKS_PER_S)


def _command(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path("/proc", str(pid), "cmdline").read_bytes()
    return b""
