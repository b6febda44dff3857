"""Slots across real processes: the locks are the kernel's, so nothing less would test them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway_batch.limits import HostSlots

from .processes import burst_then_idle, children, count_holders, obey, take_turns, want_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "slots"


@contextmanager
def slots_of(path: Path, total: int) -> Iterator[HostSlots]:
    slots = HostSlots(path, total)
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
        slots.leave()
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
        slots._counted_at = 0.0  # members are counted five times a second
        assert take_all(slots) == 6


def test_never_more_than_all_slots_are_held_together(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, most = spawn.Value("i", 0), spawn.Value("i", 0)
    with children(4, count_holders, path, 5, held, most) as workers:
        for worker in workers:
            worker.pipe.send((1.0,))
        for worker in workers:
            worker.hear()
    assert 2 <= most.value <= 5


def test_no_process_starves_where_the_slots_do_not_divide_evenly(path: Path) -> None:
    with children(3, want_all, path, 4) as workers:
        for worker in workers:
            worker.pipe.send((1.5,))
        had = [worker.hear() for worker in workers]
    assert min(had) >= 0.9, had


def test_two_processes_that_want_all_get_about_half_each(path: Path) -> None:
    with children(2, want_all, path, 8) as workers:
        for worker in workers:
            worker.pipe.send((1.5,))
        had = [worker.hear() for worker in workers]
    assert all(3 <= mean <= 5 for mean in had), had


def test_a_process_alone_again_gets_all_again(path: Path) -> None:
    with children(2, want_all, path, 8) as [other, last]:
        other.pipe.send((0.5,))
        last.pipe.send((0.5,))
        other.hear()
        last.hear()
        other.kill()
        assert last.ask(1.0) > 6


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


@pytest.mark.timeout(30)
def test_a_process_with_nothing_to_send_does_not_keep_its_slots(path: Path) -> None:
    with children(1, burst_then_idle, path, 4) as [other], slots_of(path, 4) as slots:
        assert other.hear() == "idle"
        until = time.monotonic() + 1.5
        while not slots.take():
            assert time.monotonic() < until, "an idle process keeps all slots of the host"
            time.sleep(0.02)
