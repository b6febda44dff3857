"""What child processes do in tests; started with `spawn`, which imports this module."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from gateway_batch.admission import HostSlots, HostThrottleStates, Limiter
from tests.waiting import WITHIN_S

from .samples import answered, open_writer, record
from .virtual_time import run

Pipe = Connection
_SPAWN = multiprocessing.get_context("spawn")


class Child:
    """A process and this end of its pipe."""

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process: SpawnProcess = _SPAWN.Process(target=target, args=(theirs, *args), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self) -> Any:
        """What the child sends next; EOFError if it died."""
        if not self.pipe.poll(WITHIN_S):
            raise TimeoutError("the child says nothing")
        return self.pipe.recv()

    def ask(self, *command: Any) -> Any:
        """A command's answer."""
        self.pipe.send(command)
        return self.hear()

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def children(count: int, target: Callable[..., None], *args: Any) -> Iterator[list[Child]]:
    """That many processes of one target, killed at the end."""
    started = [Child(target, *args) for _ in range(count)]
    try:
        yield started
    finally:
        for child in started:
            child.kill()


def obey(pipe: Pipe[Any, Any], path: Path, total: int) -> None:
    """Takes and gives slots as asked: `("take", n)` answers how many of n it got."""
    slots = HostSlots(path, total)
    while True:
        match pipe.recv():
            case ("take", wanted):
                pipe.send(sum(slots.take() for _ in range(wanted)))
            case ("give", count):
                for _ in range(count):
                    slots.give()
                pipe.send(None)
            case ("leave",):
                slots.release_idle()
                pipe.send(None)


def read_throttle_state(pipe: Pipe[Any, Any], folder: Path, service: str) -> None:
    """A member of a service's throttle state, whose methods are called by name, `("refused", 10.0, 9.0)`."""
    state = HostThrottleStates(folder).of(service)
    while True:
        name, *arguments = pipe.recv()
        asked = getattr(state, name)
        pipe.send(asked(*arguments) if callable(asked) else asked)


def want_all(pipe: Pipe[Any, Any], path: Path, total: int) -> None:
    """Wants all slots, a number of times in a row; answers with how many it had each time.

    By its clock a second passes with each look, so the members are counted anew each time.
    """
    slots = HostSlots(path, total, itertools.count(1.0).__next__)
    while True:
        (times,) = pipe.recv()
        had = []
        for _ in range(times):
            had.append(sum(slots.take() for _ in range(total)))
            time.sleep(0.001)
            for _ in range(had[-1]):
                slots.give()
        pipe.send(had)


def take_turns(pipe: Pipe[Any, Any], path: Path, total: int) -> None:
    """Answers `go n` once it had n turns with a slot."""
    slots = HostSlots(path, total)
    (turns,) = pipe.recv()
    while turns:
        if slots.take():
            time.sleep(0.002)
            slots.give()
            turns -= 1
        else:
            time.sleep(0.002)
    slots.release_idle()
    pipe.send("done")
    pipe.recv()


def count_holders(pipe: Pipe[Any, Any], path: Path, total: int, held: Any, most: Any) -> None:
    """Takes and gives a number of times and keeps the highest number of slots held by all processes together."""
    slots = HostSlots(path, total)
    (times,) = pipe.recv()
    for _ in range(times):
        used = sum(slots.take() for _ in range(total))
        with held.get_lock():
            held.value += used
            most.value = max(most.value, held.value)
        time.sleep(0.001)
        with held.get_lock():
            held.value -= used
        for _ in range(used):
            slots.give()
    pipe.send("done")


def burst_then_idle(pipe: Pipe[Any, Any], path: Path, total: int) -> None:
    """Uses all slots once through a limiter; says so once a second of virtual time has passed with nothing to send."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(HostSlots(path, total, loop.time), total, loop.time, lambda: 0.5)

        async def call() -> None:
            async with limiter.slot("service", loop.time() + 60):
                await asyncio.sleep(0.05)

        await asyncio.gather(*(call() for _ in range(total)))
        await asyncio.sleep(1)
        pipe.send("idle")
        pipe.recv()

    run(main())


def intend_and_hang(pipe: Pipe[Any, Any], spool_dir: Path, settled: list[str], pending: list[str]) -> None:
    """Writes intents, settles some, and says `ready`; it never ends by itself."""
    writer = open_writer(spool_dir)
    for event_id in [*settled, *pending]:
        writer.intend(record(event_id))
    for event_id in settled:
        writer.settle(answered(event_id))
    writer.intend(record("last"))  # writes the outcomes too
    pipe.send("ready")
    time.sleep(600)
