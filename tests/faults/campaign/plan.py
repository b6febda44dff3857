"""What a run does, drawn from its seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

LOCAL, CLUSTER = "local", "cluster"

KILL_WORKER = "kill_worker"
STOP_WORKER = "stop_worker"
KILL_DRAIN = "kill_drain"
DRAINS_AT_ONCE = "drains_at_once"
DISK_FULL = "disk_full"
READ_ONLY = "read_only"
CLOCK_JUMP = "clock_jump"
REPEATED_FILE = "repeated_file"
DELAYED_FILE = "delayed_file"
KILL_DRIVER = "kill_driver"
KILL_EXECUTOR = "kill_executor"
DROP_EXECUTORS = "drop_executors"
HOSTILE_ANSWERS = "hostile_answers"
STRANGERS = "strangers"
LOCKS_GONE = "locks_gone"
REDIS_NONSENSE = "redis_nonsense"

KINDS = {
    LOCAL: (
        KILL_WORKER,
        STOP_WORKER,
        KILL_DRAIN,
        DRAINS_AT_ONCE,
        DISK_FULL,
        READ_ONLY,
        CLOCK_JUMP,
        REPEATED_FILE,
        DELAYED_FILE,
        KILL_DRIVER,
        HOSTILE_ANSWERS,
        STRANGERS,
        LOCKS_GONE,
        REDIS_NONSENSE,
    ),
    CLUSTER: (
        KILL_WORKER,
        KILL_DRAIN,
        DRAINS_AT_ONCE,
        KILL_EXECUTOR,
        DROP_EXECUTORS,
        HOSTILE_ANSWERS,
        STRANGERS,
        LOCKS_GONE,
        REDIS_NONSENSE,
    ),
}
OF_FILES = frozenset({REPEATED_FILE, DELAYED_FILE})
OF_DISKS = frozenset({DISK_FULL, READ_ONLY})

NOBODY = "nobody was there"
"""What is said of a fault that came too late, or too early."""

AFTER_THE_ACTION = 2.0
_ONE_DRIVER_IN = 8
_AT_MOST = {KILL_WORKER: 2, KILL_EXECUTOR: 2, DROP_EXECUTORS: 1}
"""How often a fault is drawn for a run: a task is tried four times, and executors end once."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        kind: of `KINDS`.
        at: share of the query's requests that the gateway has finished; beyond 1: when the action has ended.
        seconds: how long it lasts; of a kill: how long after the beginning of what is killed; of the clock: how far.
    """

    kind: str
    at: float
    seconds: float

    @property
    def number(self) -> int:
        """Which of several processes it meets, counted round."""
        return round(self.at * 1000)


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        flush_interval: of the registration: 0 is none in the background.
        wrong: share of the requests that the gateway refuses (500), and of those that it hangs up on.
    """

    where: str
    seed: int
    rows: int
    partitions: int
    concurrency: int
    latency_ms: int
    flush_interval: float
    wrong: tuple[float, float]
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """Of its faults."""
        return frozenset(fault.kind for fault in self.faults)

    @property
    def gateway_faults(self) -> list[dict[str, Any]]:
        """What the gateway does wrong all the time."""
        what: tuple[dict[str, Any], ...] = ({"status": 500}, {"disconnect": True})
        return [{"share": share} | each for share, each in zip(self.wrong, what, strict=True) if share]

    @property
    def may_cut_off(self) -> bool:
        """Whether the gateway breaks connections off."""
        return self.wrong[1] > 0 or HOSTILE_ANSWERS in self.kinds

    @property
    def may_fail(self) -> bool:
        """Whether its query may end with an error."""
        return bool(self.kinds & {*OF_DISKS, KILL_DRIVER})

    def as_json(self) -> dict[str, Any]:
        """For the results."""
        return asdict(self)


def make_plan(where: str, seed: int, kinds: Collection[str] | None = None) -> Plan:
    """The run of a seed; with `kinds`, of those only, which is another run than without."""
    rng = random.Random(f"{where} {seed}")
    allowed = [kind for kind in KINDS[where] if kinds is None or kind in kinds]
    faults = _draw(rng, allowed)
    concurrency, latency_ms = rng.choice((8, 16, 24, 32, 48)), rng.randint(20, 200)
    seconds = rng.uniform(1.5, 3.5)
    of_files = any(fault.kind in OF_FILES for fault in faults)
    return Plan(
        where=where,
        seed=seed,
        rows=min(800, max(200, round(seconds * concurrency * 1000 / latency_ms))),
        partitions=rng.choice((2, 3, 4, 6)),
        concurrency=concurrency,
        latency_ms=latency_ms,
        flush_interval=0 if of_files else rng.choice((0, 0.3, 1.0)),
        wrong=rng.choice(((0.0, 0.0), (0.03, 0.0), (0.02, 0.02))),
        faults=faults,
    )


def _draw(rng: random.Random, allowed: list[str]) -> tuple[Fault, ...]:
    others = [kind for kind in allowed if kind != KILL_DRIVER]
    kinds = rng.choices(others, k=rng.randint(2, 4))
    if KILL_DRIVER in allowed and rng.randrange(_ONE_DRIVER_IN) == 0:
        kinds = [KILL_DRIVER, *kinds[:2]]
    faults: list[Fault] = []
    for kind in kinds:
        if sum(fault.kind == kind for fault in faults) < _AT_MOST.get(kind, len(kinds)):
            faults.append(Fault(kind, round(_moment(rng, kind), 3), round(_length(rng, kind), 3)))
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _moment(rng: random.Random, kind: str) -> float:
    if kind == DROP_EXECUTORS:
        return AFTER_THE_ACTION
    if kind == KILL_DRIVER:
        return rng.uniform(0.3, 0.9)
    if kind in OF_FILES:
        return rng.uniform(0.05, 0.6)
    return rng.uniform(0.05, 1.05)


def _length(rng: random.Random, kind: str) -> float:
    if kind == KILL_DRAIN:
        return rng.uniform(0, 0.4)
    if kind == CLOCK_JUMP:
        return rng.choice((-1, 1)) * rng.choice((1.5, 90, 3600, 86_400, 40 * 86_400))
    return rng.uniform(0.2, 1.5)
