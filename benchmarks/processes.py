"""Processes of this machine, from /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.spark.session.session import WORKER_DAEMON

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_DAEMONS = (b"pyspark.daemon", WORKER_DAEMON.encode())


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment.

    Attributes:
        pid: its number, and the parent's; numbers come again, so `born` is part of its identity.
        born: clock ticks after the machine's start.
        cpu_s: CPU seconds it has used so far, its children's not among them.
    """

    pid: int
    parent: int
    born: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in bytes; `peak` is the highest resident size so far, as the kernel keeps it."""

    resident: int
    proportional: int
    peak: int


def tree(root: int, without: frozenset[int] = frozenset()) -> Iterator[Process]:
    """A process and its descendants; those in `without` and what descends from them are left out."""
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
        found += [process] if process.pid == root else []
    while found:
        process = found.pop()
        if process.pid not in without:
            yield process
            found += children.get(process.pid, [])


def is_spark_python(pid: int) -> bool:
    """Whether it is one of Spark's Python workers, or the daemon that forks them."""
    with suppress(FileNotFoundError, ProcessLookupError):
        command = Path("/proc", str(pid), "cmdline").read_bytes()
        return any(module in command for module in _DAEMONS)
    return False


def memory_of(pid: int) -> Memory | None:
    """What a process holds; None if it has ended."""
    folder = Path("/proc", str(pid))
    with suppress(FileNotFoundError, ProcessLookupError):
        sizes = parse_sizes((folder / "smaps_rollup").read_text()) | parse_sizes((folder / "status").read_text())
        return Memory(sizes["VmRSS"], sizes["Pss"], sizes["VmHWM"])
    return None


def busy_s() -> float:
    """CPU seconds that this machine has spent on anything but waiting, all cores together."""
    user, nice, system, _, _, irq, soft_irq, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + soft_irq) / _TICKS_PER_S


def parse_process(pid: int, stat: bytes) -> Process:
    """`proc_pid_stat(5)`: the fields after the command, which may hold spaces, begin with the third."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    return Process(pid, parent=int(fields[1]), born=int(fields[19]), cpu_s=ticks / _TICKS_PER_S)


def parse_sizes(text: str) -> dict[str, int]:
    """The lines `Name: 12 kB` of `status` or `smaps_rollup`, in bytes."""
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}


def _processes() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield parse_process(int(name), Path("/proc", name, "stat").read_bytes())
