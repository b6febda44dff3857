from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from gateway_batch.errors import LedgerError
from gateway_batch.usage import spool_folders
from gateway_batch.usage.manifests import CommitId, Manifest, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment import Kind, event_id, read_lines
from gateway_batch.usage.shipping import ship
from gateway_batch.usage.spool import SpoolWriter, active_dir, prepare, sealed_dir, sealed_segments

from .samples import (
    active_segments,
    answered,
    no_file_longer_than,
    open_writer,
    outcomes,
    record,
    rows_in,
    sealed_rows,
)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def lines(spool: Path) -> list[tuple[str, str]]:
    """Kind and event id of each line being written, headers aside."""
    return [
        (kind.value, event_id(line))
        for path in active_segments(spool)
        for kind, line in read_lines(path)
        if kind is not Kind.HEADER
    ]


def after_a_kill(spool: Path) -> dict[str, list[str]]:
    """Outcomes by event id, had the writer been killed now and its spool been recovered: a copy's lock is free."""
    copy = spool.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(spool, copy)
    recover_dead_writers(copy)
    assert not list(active_dir(copy).iterdir())
    return outcomes(sealed_rows(copy))


def test_an_intent_is_on_disk_when_intend_returns(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    assert lines(spool) == [("I", "a")]
    writer.close()


def test_an_outcome_is_written_with_the_next_intent(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.settle(answered("a"))
    assert lines(spool) == [("I", "a")]
    writer.intend(record("b"))
    assert lines(spool) == [("I", "a"), ("O", "a"), ("I", "b")]
    writer.close()


def test_outcomes_are_written_soon_and_together(spool: Path) -> None:
    deferred: list[Callable[[], None]] = []
    writer = SpoolWriter(spool, deferred.append)
    writer.intend(record("a"))
    writer.intend(record("b"))
    writer.settle(answered("a"))
    writer.settle(answered("b"))
    assert len(deferred) == 1
    deferred[0]()
    assert lines(spool) == [("I", "a"), ("I", "b"), ("O", "a"), ("O", "b")]
    writer.close()


def test_an_attempt_that_was_not_intended_can_not_be_settled(spool: Path) -> None:
    writer = open_writer(spool)
    with pytest.raises(RuntimeError, match="not intended"):
        writer.settle(answered("a"))
    writer.intend(record("a"))
    writer.settle(answered("a"))
    with pytest.raises(RuntimeError, match="not intended"):
        writer.settle(answered("a"))
    writer.close()


def test_a_sealed_segment_is_moved_whole_and_says_how_many_rows_it_has(spool: Path) -> None:
    writer = open_writer(spool)
    for name in "abc":
        writer.intend(record(name))
        writer.settle(answered(name))
    writer.seal()
    (sealed,) = sealed_dir(spool).iterdir()
    assert sealed.name == f"{writer.writer}-000000.3.{sealed.stat().st_size}.log"
    assert outcomes(rows_in([sealed])) == {"a": ["answered"], "b": ["answered"], "c": ["answered"]}
    assert active_segments(spool) == []
    writer.close()


def test_each_segment_begins_with_its_header(spool: Path) -> None:
    writer = open_writer(spool)
    for name in "ab":
        writer.intend(record(name))
        writer.settle(answered(name))
        writer.intend(record(name + "-pending"))
        writer.seal()
    for path in [*sealed_dir(spool).iterdir(), *active_segments(spool)]:
        kind, line = next(read_lines(path))
        assert (kind, orjson.loads(line[11:])["writer"]) == (Kind.HEADER, writer.writer)
    writer.close()


def test_a_segment_without_rows_is_not_sealed(spool: Path) -> None:
    writer = open_writer(spool)
    writer.seal()
    writer.intend(record("a"))
    writer.seal()
    assert list(sealed_dir(spool).iterdir()) == []
    assert lines(spool) == [("I", "a")]
    writer.close()


def test_pending_intents_move_along_when_a_segment_is_sealed(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.intend(record("slow"))
    writer.settle(answered("a"))
    writer.seal()
    assert lines(spool) == [("I", "slow")]
    writer.settle(answered("slow"))
    writer.seal()
    assert outcomes(sealed_rows(spool)) == {"a": ["answered"], "slow": ["answered"]}
    writer.close()


def test_a_segment_is_sealed_once_it_is_large_enough(spool: Path) -> None:
    writer = SpoolWriter(spool, lambda _: None, rotate_after_bytes=5_000)
    for number in range(20):
        writer.intend(record(f"{number}"))
        writer.settle(answered(f"{number}"))
        writer.rotate_if_due()
    sizes = [name.size for _, name in sealed_segments(spool)]
    assert len(sizes) > 1
    assert all(5_000 <= size < 7_000 for size in sizes)
    writer.close()


def test_a_segment_is_sealed_once_it_is_old_enough(spool: Path) -> None:
    young, old = SpoolWriter(spool, lambda _: None, 60.0), SpoolWriter(spool, lambda _: None, 0.0)
    for writer in (young, old):
        writer.intend(record(writer.writer))
        writer.settle(answered(writer.writer))
        writer.intend(record(f"{writer.writer}-pending"))
        writer.rotate_if_due()
    assert outcomes(sealed_rows(spool)) == {old.writer: ["answered"]}
    young.close()
    old.close()


def test_a_closed_writer_leaves_its_outcomes_and_its_pending_intents(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.intend(record("lost"))
    writer.settle(answered("a"))
    writer.close()
    assert recover_dead_writers(spool) == 1
    assert outcomes(sealed_rows(spool)) == {"a": ["answered"], "lost": ["unknown"]}


def test_two_writers_of_a_folder_do_not_meet(spool: Path) -> None:
    one, two = open_writer(spool), open_writer(spool)
    for writer in (one, two):
        writer.intend(record(writer.writer))
        writer.settle(answered(writer.writer))
        writer.seal()
    assert outcomes(sealed_rows(spool)) == {one.writer: ["answered"], two.writer: ["answered"]}
    one.close()
    two.close()


def test_the_folders_and_files_are_private(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in (active_dir(spool), sealed_dir(spool)))
    assert all(path.stat().st_mode & 0o077 == 0 for path in active_dir(spool).rglob("*"))
    writer.close()


def test_they_are_so_whatever_the_umask(spool: Path) -> None:
    before = os.umask(0)
    try:
        writer = open_writer(spool)
        for name in "ab":
            writer.intend(record(name))
        writer.settle(answered("a"))
        writer.seal()
        writer.close()
        recover_dead_writers(spool)
        shared = spool.with_name("shared")
        prepare(shared)
        ship(spool, shared)
        manifests = Manifests(shared)
        manifests.write("t", CommitId.after(manifests.drain_id(), 0), Manifest((), ProcessedSegments()))
    finally:
        os.umask(before)
    paths = [spool, shared, *spool.rglob("*"), *shared.rglob("*")]
    assert len(sealed_segments(shared)) == 2
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_a_folder_that_can_not_be_written_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"the spool folder .*file/spool can't be written \(Not a directory\)"):
        prepare(tmp_path / "file" / "spool")


def test_preparing_leaves_nothing_but_the_folders(spool: Path) -> None:
    prepare(spool)
    prepare(spool)
    assert sorted(path.relative_to(spool).as_posix() for path in spool.rglob("*")) == [
        "active",
        "drain",
        "sealed",
    ]


def test_an_intent_that_does_not_fit_is_a_ledger_error_and_leaves_no_trace(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    (segment,) = active_segments(spool)
    before = segment.read_bytes()
    with no_file_longer_than(len(before) + 100), pytest.raises(LedgerError, match="usage can't be recorded"):
        writer.intend(record("b"))
    assert segment.read_bytes() == before
    writer.intend(record("c"))
    assert lines(spool) == [("I", "a"), ("I", "c")]
    assert after_a_kill(spool) == {"a": ["unknown"], "c": ["unknown"]}
    writer.close()


def test_outcomes_that_do_not_fit_are_kept_until_they_do(spool: Path) -> None:
    writer = open_writer(spool)
    for name in "ab":
        writer.intend(record(name))
    writer.settle(answered("a"))
    writer.intend(record("c"))
    writer.settle(answered("b"))
    (segment,) = active_segments(spool)
    with no_file_longer_than(segment.stat().st_size + 100), pytest.raises(LedgerError):
        writer.seal()
    writer.seal()
    assert outcomes(sealed_rows(spool)) == {"a": ["answered"], "b": ["answered"]}
    writer.close()


def test_outcomes_that_never_fit_become_unknown_and_are_not_lost(spool: Path) -> None:
    writer = open_writer(spool)
    for name in "ab":
        writer.intend(record(name))
    writer.settle(answered("a"))
    writer.intend(record("c"))
    writer.settle(answered("b"))
    (segment,) = active_segments(spool)
    with no_file_longer_than(segment.stat().st_size + 100), pytest.raises(LedgerError):
        writer.intend(record("d"))
    assert after_a_kill(spool) == {"a": ["answered"], "b": ["unknown"], "c": ["unknown"]}
    writer.close()


def test_a_seal_that_has_no_room_for_the_next_segment_can_be_repeated(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.intend(record("slow"))
    writer.settle(answered("a"))
    writer.intend(record("slow-2"))
    with no_file_longer_than(300), pytest.raises(LedgerError):
        writer.seal()
    assert after_a_kill(spool) == {"a": ["answered"], "slow": ["unknown"], "slow-2": ["unknown"]}
    writer.settle(answered("slow"))
    writer.seal()
    assert after_a_kill(spool) == {"a": ["answered"], "slow": ["answered"], "slow-2": ["unknown"]}
    writer.close()


def test_a_segment_that_could_not_be_moved_is_moved_later(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.intend(record("slow"))
    writer.settle(answered("a"))
    away = spool / "away"
    sealed_dir(spool).rename(away)
    with pytest.raises(LedgerError):
        writer.seal()
    away.rename(sealed_dir(spool))
    writer.settle(answered("slow"))
    writer.seal()
    assert after_a_kill(spool) == {"a": ["answered"], "slow": ["answered"]}
    writer.close()


def test_a_first_segment_without_room_for_its_header_is_begun_anew(spool: Path) -> None:
    writer = open_writer(spool)
    with no_file_longer_than(20), pytest.raises(LedgerError):
        writer.intend(record("a"))
    writer.intend(record("b"))
    kinds = [kind for path in active_segments(spool) for kind, _ in read_lines(path)]
    assert kinds == [Kind.HEADER, Kind.INTENT]
    writer.close()


def test_a_settled_attempt_outlives_the_process_only_if_it_was_written(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.settle(answered("a"))
    assert after_a_kill(spool) == {"a": ["unknown"]}
    writer.intend(record("b"))
    assert after_a_kill(spool) == {"a": ["answered"], "b": ["unknown"]}
    writer.close()


def test_no_open_file_is_left_behind(spool: Path) -> None:
    for _ in range(3):
        writer = open_writer(spool)
        writer.intend(record("a"))
        writer.settle(answered("a"))
        writer.intend(record("b"))
        writer.close()
        recover_dead_writers(spool)
    assert not [path for path in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if path.startswith(f"{spool}/")]


def test_that_the_folders_can_be_written_is_tried_without_a_name_that_a_kill_would_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_folders, "open_private", lambda *_: pytest.fail("a file with a name was made"))
    spool_folders.prepare(tmp_path / "spool")
    assert [path for path in (tmp_path / "spool").rglob("*") if not path.is_dir()] == []
