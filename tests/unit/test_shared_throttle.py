"""What the processes of a host share of a service."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_batch.admission import shared_throttle
from gateway_batch.admission.shared_throttle import (
    CELLS,
    HostThrottleStates,
    PrivateThrottleStates,
    SharedThrottleState,
)
from gateway_batch.local_files.locks import locked

from .processes import children, read_throttle_state


@pytest.fixture
def states(tmp_path: Path) -> Iterator[HostThrottleStates]:
    opened = HostThrottleStates(tmp_path)
    yield opened
    opened.close()


def test_a_process_sees_at_once_what_another_one_met(tmp_path: Path, states: HostThrottleStates) -> None:
    state, other_service = states.of("s"), states.of("another service")
    with children(1, read_throttle_state, tmp_path, "s") as [other]:
        other.ask("refused", 10.0, 9.0)
        other.ask("close_until", 11.5)
        assert (state.bursts, state.closed_until) == (1, 11.5)
        state.refused(10.1, sent_at=9.9)  # sent before the other one's 429: the same burst
        assert state.bursts == 1
        state.refused(13.0, sent_at=12.0)
        assert other.ask("bursts") == 2
        state.close_until(11.0)
        assert state.closed_until == 11.5
    assert (other_service.bursts, other_service.closed_until) == (0, 0.0)


def test_what_living_members_let_through_is_measured(tmp_path: Path, states: HostThrottleStates) -> None:
    state = states.of("s")
    state.join(0.0)
    with children(1, read_throttle_state, tmp_path, "s") as [other]:
        other.ask("join", 0.0)
        state.refused(1.0, 0.5)
        state.report(99.0)
        assert state.measured() == (0.0, 0.0)  # after a first burst nothing is known
        other.ask("refused", 3.0, 2.5)
        assert state.measured() == (0.0, 0.0)  # nobody has reported yet
        other.ask("report", 30.0)
        assert state.measured() == (30.0, 2.0)
        state.report(20.0)
        assert state.measured() == other.ask("measured") == (25.0, 2.0)
        other.ask("sends_at", 40.0)
        other.kill()
        assert state.measured() == (20.0, 2.0)
        assert state.join(4.0) is None  # nor does its rate count
        with children(1, read_throttle_state, tmp_path, "s") as [next_one]:
            next_one.ask("join", 4.0)
            assert state.measured()[0] == 20.0  # it has the dead one's number, and reports nothing


def test_time_in_which_nobody_sent_does_not_count() -> None:
    first, second = members(2)
    first.join(0.0)
    first.refused(1.0, 0.5)
    first.leave(2.0, 0.0)
    first.join(600.0)
    second.join(601.0)
    second.refused(602.0, 601.5)
    first.report(40.0)
    second.report(20.0)
    assert first.measured() == second.measured() == (30.0, 2.0)


def test_the_pages_are_private_to_the_user(tmp_path: Path) -> None:
    states = HostThrottleStates(tmp_path / "services")
    states.of("https://host/path a-model")
    files = list((tmp_path / "services").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "services").stat().st_mode) == 0o700
    assert not any("host" in path.name or "model" in path.name for path in files)
    states.close()


def members(count: int) -> list[SharedThrottleState]:
    cells = [0.0] * CELLS
    return [SharedThrottleState(cells, number) for number in range(count)]


def test_a_member_begins_with_a_fair_share_of_what_the_others_send_at() -> None:
    first, second, third = members(3)
    assert first.join(0.0) is None
    first.sends_at(60.0)
    assert second.join(0.0) == 30.0
    assert third.join(0.0) == 30.0


def test_a_rate_that_was_left_goes_to_the_next_member_or_a_second_later_to_another_one() -> None:
    first, second, third = members(3)
    first.leave(10.0, 25.0)
    second.leave(10.0, 15.0)
    assert third.take_over(10.5) == 0.0
    assert second.join(10.5) == 40.0
    assert third.take_over(20.0) == 0.0
    second.leave(20.0, 40.0)
    assert third.take_over(21.5) == 40.0
    assert third.take_over(21.5) == 0.0


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_numbers_that_are_none_are_not_believed(odd: float) -> None:
    cells = [odd] * CELLS
    first = SharedThrottleState(cells)
    assert (first.bursts, first.closed_until) == (0.0, 0.0)
    assert first.join(1.0) is None
    assert first.measured() == (0.0, 0.0)
    assert first.take_over(5.0) == 0.0
    first.refused(2.0, 1.5)
    first.close_until(7.0)
    first.leave(3.0, 5.0)
    assert (first.bursts, first.closed_until) == (1, 7.0)
    assert cells[:4] == [1.0, 2.0, 0.0, 7.0]


def test_a_process_that_was_stopped_with_the_lock_stops_nobody(
    tmp_path: Path, states: HostThrottleStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_throttle, "_FIRST_LOCK_WITHIN_S", 0.02)
    state = states.of("s")
    (page,) = [path for path in tmp_path.iterdir() if not path.suffix]
    with locked(page):
        state.refused(1.0, 0.5)
        state.close_until(5.0)
        another = HostThrottleStates(tmp_path)
        assert another.of("s").closed_until == 0.0  # it shares with nobody
        another.close()
    assert (state.bursts, state.closed_until) == (1, 5.0)


def test_a_member_that_knows_no_rate_leaves_none() -> None:
    first, second = members(2)
    first.leave(0.0, 0.0)
    assert second.take_over(5.0) == 0.0
    assert second.join(5.0) is None


def test_without_room_for_the_page_nothing_is_shared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "services").touch()
    states = HostThrottleStates(tmp_path / "services")
    states.of("s").refused(1.0, 0.5)
    assert "is not shared with other processes" in caplog.text
    states.close()


def test_private_states_are_shared_with_nobody() -> None:
    states = PrivateThrottleStates()
    one, other = states.of("s"), states.of("s")
    one.refused(1.0, 0.5)
    assert (one.bursts, other.bursts) == (1, 0)
    states.close()
