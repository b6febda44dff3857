"""Slots across real processes: the locks are the kernel's, so nothing less would test them."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import HostSlots

from .processes import Child, burst_then_idle, children, count_holders, obey, take_turns, want_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "slots"


@contextmanager
def slots_of(path: Path, total: int) -> Iterator[HostSlots]:
    slots = HostSlots(path, total, itertools.count(1.0).__next__)  # so that each look counts the members anew
    try:
        yield slots
    finally:
        slots.close()


def take_all(slots: HostSlots) -> int:
    taken = 0
    while slots.take():
        taken += 1
    return taken


def test_a_process_alone_has_all_slots_and_no_more(path: Path) -> None:
    with slots_of(path, 5) as slots:
        assert take_all(slots) == 5
        slots.give()
        assert take_all(slots) == 1


def test_the_file_is_private(path: Path) -> None:
    with slots_of(path, 1):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_another_process_holds_is_not_to_have(path: Path) -> None:
    with children(1, obey, path, 4) as [other], slots_of(path, 4) as slots:
        assert other.ask("take", 3) == 3
        assert take_all(slots) == 1
        slots.give()
        slots.release_idle()
        assert other.ask("take", 4) == 1


def test_a_process_that_leaves_gives_its_idle_slots_back(path: Path) -> None:
    with children(1, obey, path, 4) as [other], slots_of(path, 4) as slots:
        other.ask("take", 4)
        other.ask("give", 4)
        other.ask("leave")
        assert take_all(slots) == 4


def test_the_slots_of_a_killed_process_come_back(path: Path) -> None:
    with children(1, obey, path, 6) as [other], slots_of(path, 6) as slots:
        assert other.ask("take", 6) == 6
        assert not slots.take()
        other.kill()
        assert take_all(slots) == 6


def test_never_more_than_all_slots_are_held_together(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, most = spawn.Value("i", 0), spawn.Value("i", 0)
    with children(4, count_holders, path, 5, held, most) as workers:
        all_at_once(workers, 200)
    assert 2 <= most.value <= 5


def all_at_once(workers: Sequence[Child], times: int) -> list[Any]:
    """What each process says after a number of turns, which they take at the same time."""
    for worker in workers:
        worker.pipe.send((times,))
    return [worker.hear() for worker in workers]


@pytest.mark.parametrize(("total", "parts"), [(8, [4, 4]), (4, [1, 1, 2])])
def test_processes_that_want_all_get_equal_parts_and_none_starves(path: Path, total: int, parts: list[int]) -> None:
    with children(len(parts), want_all, path, total) as workers:
        all_at_once(workers, 1)  # all have joined
        all_at_once(workers, 1)  # who was first has let go what is over its part
        had = all_at_once(workers, 100)
    assert sorted(had) == [[part] * 100 for part in parts]


def test_a_process_alone_again_gets_all_again(path: Path) -> None:
    with children(2, want_all, path, 8) as [other, last]:
        all_at_once([other, last], 2)
        other.kill()
        assert last.ask(3) == [8, 8, 8]


def test_more_processes_than_slots_all_make_progress(path: Path) -> None:
    with children(5, take_turns, path, 2) as workers:
        for worker in workers:
            worker.pipe.send((25,))
        assert [worker.hear() for worker in workers] == ["done"] * 5


def test_all_members_are_counted_whatever_order_they_joined_in(path: Path) -> None:
    """The kernel lists locks by owner: the first it names is not the lowest byte."""
    with children(2, obey, path, 12) as [first, second], slots_of(path, 12) as slots:
        first.ask("take", 1)
        second.ask("take", 1)
        first.ask("give", 1)
        first.ask("leave")
        first.ask("take", 1)
        assert take_all(slots) == 4, "a third of 12 for each of 3"


def test_a_process_with_nothing_to_send_does_not_keep_its_slots(path: Path) -> None:
    with children(1, burst_then_idle, path, 4) as [other], slots_of(path, 4) as slots:
        assert other.hear() == "idle"
        assert take_all(slots) == 4
