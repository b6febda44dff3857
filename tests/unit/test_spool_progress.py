"""What a spool's files show of requests under way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway_batch.usage.spool import SpoolWriter, sealed_segments
from gateway_batch.usage.spool_progress import SpoolWatch, Traffic
from tests.unit.samples import record


def test_attempts_that_ended_and_those_in_flight_are_told_apart(tmp_path: Path) -> None:
    soon: list[Callable[[], None]] = []
    writer = SpoolWriter(tmp_path, soon.append)
    watch = SpoolWatch(tmp_path)
    attempts = [record(f"{number}") for number in range(5)]
    for attempt in attempts:
        writer.intend(attempt)
    assert watch.look() == Traffic(in_flight=5)
    for attempt, status in zip(attempts[:3], (200, 429, 500), strict=True):
        attempt.status_code = status
        writer.settle(attempt)
    soon.pop()()
    assert watch.look() == Traffic(attempts=3, rate_limited=1, in_flight=2)
    writer.close()


def test_what_is_sealed_and_drained_still_counts_once(tmp_path: Path) -> None:
    soon: list[Callable[[], None]] = []
    writer = SpoolWriter(tmp_path, soon.append)
    watch = SpoolWatch(tmp_path)
    ended, pending = record("1"), record("2")
    writer.intend(ended)
    writer.intend(pending)
    writer.settle(ended)
    soon.pop()()
    seen = watch.look()
    writer.seal()
    assert watch.look() == seen == Traffic(attempts=1, in_flight=1)
    for path, _ in sealed_segments(tmp_path):
        path.unlink()
    assert watch.look() == seen
    writer.settle(pending)
    writer.close()
    assert watch.look() == Traffic(attempts=2)


def test_a_segment_that_is_first_seen_sealed_counts(tmp_path: Path) -> None:
    soon: list[Callable[[], None]] = []
    writer = SpoolWriter(tmp_path, soon.append)
    watch = SpoolWatch(tmp_path)
    for event_id in "12":
        attempt = record(event_id)
        writer.intend(attempt)
        writer.settle(attempt)
        writer.seal()
    assert watch.look() == watch.look() == Traffic(attempts=2)
    writer.close()


def test_traffic_since_an_earlier_look() -> None:
    assert Traffic(10, 3, 7).since(Traffic(4, 1, 9)) == Traffic(6, 2, 7)
