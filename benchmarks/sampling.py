"""Samples a tree of processes while a block runs, so that processes which end within it count too."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from benchmarks.processes import Process, busy_s, is_spark_python, memory_of, tree

_EVERY_S = 0.25


class _Sampler(ABC):
    """Calls `_sample` at the start of its `with` block, regularly within it, and at its end."""

    def __init__(self, root: int | None, without: frozenset[int]) -> None:
        self._root = root or os.getpid()
        self._without = without
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="benchmarks.sampling", daemon=True)

    def __enter__(self) -> Self:
        self._begin()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._sample()
        self._end()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._sample()

    def _tree(self) -> list[Process]:
        return list(tree(self._root, self._without))

    def _begin(self) -> None:
        return

    def _end(self) -> None:
        return

    @abstractmethod
    def _sample(self) -> None: ...


class CpuClock(_Sampler):
    """Counts the CPU time that a tree spends inside its `with` block.

    Args:
        without: processes whose CPU time and whose children's is not the tree's.
        root: of the tree; None: this process.

    Attributes:
        workers_s: seconds of Spark's Python workers, their daemon included.
        tree_s: seconds of all processes of the tree.
        others_s: seconds of everything else on the machine, the processes of `without` not among it.
    """

    def __init__(self, without: frozenset[int] = frozenset(), root: int | None = None) -> None:
        super().__init__(root, without)
        self.workers_s = self.tree_s = self.others_s = 0.0
        self._before: dict[tuple[int, int], float] = {}
        self._spent: dict[tuple[int, int], float] = {}
        self._workers: set[tuple[int, int]] = set()

    def _begin(self) -> None:
        self._busy_before = busy_s()
        self._apart_before = self._apart_s()
        self._before = {(process.pid, process.born): process.cpu_s for process in self._tree()}

    def _sample(self) -> None:
        for process in self._tree():
            key = process.pid, process.born
            self._spent[key] = process.cpu_s - self._before.get(key, 0.0)
            if key not in self._workers and is_spark_python(process.pid):
                self._workers.add(key)

    def _end(self) -> None:
        self.tree_s = sum(self._spent.values())
        self.workers_s = sum(self._spent[key] for key in self._workers)
        apart_s = self._apart_s() - self._apart_before
        self.others_s = max(0.0, busy_s() - self._busy_before - self.tree_s - apart_s)

    def _apart_s(self) -> float:
        return sum(process.cpu_s for pid in self._without for process in tree(pid))


class MemoryClock(_Sampler):
    """The most that one of Spark's Python workers holds inside its `with` block, in bytes.

    Attributes:
        peak_resident: resident size, as the kernel keeps its highest value (`VmHWM`): exact, shared pages included.
        peak_proportional: proportional size (PSS), shared pages divided by who shares them; of the samples.
    """

    def __init__(self) -> None:
        super().__init__(None, frozenset())
        self.peak_resident = self.peak_proportional = 0

    def _sample(self) -> None:
        python = {process.pid: process for process in self._tree() if is_spark_python(process.pid)}
        for process in python.values():
            if process.parent not in python:  # the daemon itself
                continue
            if (held := memory_of(process.pid)) is not None:
                self.peak_resident = max(self.peak_resident, held.peak)
                self.peak_proportional = max(self.peak_proportional, held.proportional)
