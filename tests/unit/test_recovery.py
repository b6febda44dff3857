from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.usage.foreign_files import shown, strangers
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment import Kind, line_of
from gateway_batch.usage.spool import active_dir, sealed_dir

from .processes import children, intend_and_hang
from .samples import (
    OF_A_KILLED_WRITER,
    active_segments,
    answered,
    open_writer,
    outcomes,
    record,
    sealed_rows,
)


def test_what_a_killed_process_sent_is_of_unknown_outcome(spool: Path) -> None:
    with children(1, intend_and_hang, spool, ["a", "b"], ["c", "d"]) as [child]:
        assert child.hear() == "ready"
        child.kill()
        assert recover_dead_writers(spool) == 1
    answers, unknowns = ["answered"], ["unknown"]
    expected = {"a": answers, "b": answers, "c": unknowns, "d": unknowns, "last": unknowns}
    assert outcomes(sealed_rows(spool)) == expected
    assert list(active_dir(spool).iterdir()) == []


def test_an_unknown_attempt_has_no_status_and_no_tokens(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    writer.close()
    recover_dead_writers(spool)
    (row,) = sealed_rows(spool)
    assert (row["status_code"], row["total_tokens"], row["latency_ms"]) == (None, None, None)
    assert (row["endpoint_name"], row["request_tags"]) == ("chat", {"team": "search"})


def test_a_living_process_is_left_alone(spool: Path) -> None:
    with children(1, intend_and_hang, spool, ["a"], ["b"]) as [child]:
        assert child.hear() == "ready"
        (segment,) = active_segments(spool)
        before = segment.read_bytes()
        assert recover_dead_writers(spool) == 0
        assert segment.read_bytes() == before
        assert sealed_rows(spool) == []


def test_a_writer_of_this_process_is_left_alone(spool: Path) -> None:
    writer = open_writer(spool)
    writer.intend(record("a"))
    assert recover_dead_writers(spool) == 0
    writer.settle(answered("a"))
    writer.close()
    assert outcomes(sealed_rows(spool)) == {"a": ["answered"]}


def test_what_is_not_of_the_spool_is_left_alone_and_named(dead: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder,) = active_dir(dead).iterdir()
    (active_dir(dead) / "notes.txt").touch()
    (active_dir(dead) / "notes").mkdir()
    (active_dir(dead) / "host-1-0badcafe").symlink_to(folder)
    strange = folder.with_name("host-2-0badcafe")
    (strange / "lock").mkdir(parents=True)
    (active_dir(dead) / "\udcff\x1b[31m").touch()
    (folder / "000001.log.bak").touch()
    shutil.copytree(folder, active_dir(dead) / "\x1b[2J-1-0badcafe")
    assert recover_dead_writers(dead) == 1
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER
    named = {path.relative_to(active_dir(dead)).as_posix() for path in strangers(dead)}
    assert named == {
        "notes.txt", "notes", "\udcff\x1b[31m", "\x1b[2J-1-0badcafe", "host-1-0badcafe", "host-2-0badcafe/lock",
        f"{folder.name}/000001.log.bak",
    }  # fmt: skip
    assert shown(next(path for path in strangers(dead) if "31m" in path.name)).endswith("/\\udcff\\x1b[31m")
    assert (recover_dead_writers(dead), caplog.text) == (0, "")


def test_a_writer_that_cannot_be_read_is_no_hindrance_to_the_others(
    dead: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = active_dir(dead) / "host-0-0badcafe"
    broken.mkdir()
    (broken / "lock").touch()
    (broken / "000000.log").write_bytes(line_of(Kind.INTENT, {"client_metadata": 1}) + line_of(Kind.OUTCOME, {}))
    (broken / "unknown.log").mkdir()
    assert recover_dead_writers(dead) == 1
    assert set(outcomes_that_are_records(dead)) == set(OF_A_KILLED_WRITER)
    assert "host-0-0badcafe can't be recovered (unknown.log is no file): its records stay there" in caplog.text


@pytest.mark.parametrize("name", ["unknown.log", "unknown.tmp"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_in_place_of_one_loses_no_intent(dead: Path, name: str, make: Callable[[Path], None]) -> None:
    (folder,) = active_dir(dead).iterdir()
    make(folder / name)
    recovered = recover_dead_writers(dead)
    assert recovered == (name == "unknown.tmp")
    assert outcomes(sealed_rows(dead)) == (OF_A_KILLED_WRITER if recovered else {})
    assert strangers(dead) == [folder / name]
    if not recovered:
        folder.joinpath(name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
        assert recover_dead_writers(dead) == 1
        assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER


def outcomes_that_are_records(spool: Path) -> dict[str, list[str]]:
    return outcomes([row for row in sealed_rows(spool) if row["client_metadata"] is not None])


def test_a_writer_that_died_before_it_had_its_name_is_removed(spool: Path) -> None:
    for name in (".host-1-0badcafe", ".host-2-0badcafe", ".notes"):
        (active_dir(spool) / name).mkdir()
    (active_dir(spool) / ".host-1-0badcafe" / "lock").touch()
    for name in (".host-1-0badcafe", ".notes"):
        os.utime(active_dir(spool) / name, (0, 0))
    recover_dead_writers(spool)
    assert {path.name for path in active_dir(spool).iterdir()} == {".host-2-0badcafe", ".notes"}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")
def test_one_that_holds_something_else_too_is_left_without_leaking_its_locks(spool: Path) -> None:
    folder = active_dir(spool) / ".host-1-0badcafe"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "notes").touch()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        os.utime(folder, (0, 0))
        recover_dead_writers(spool)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (folder / "notes").exists()


def test_segments_that_a_kill_left_side_by_side_are_read_together(dead: Path) -> None:
    assert len(active_segments(dead)) == 3
    recover_dead_writers(dead)
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER
    assert list(active_dir(dead).iterdir()) == []


def test_recovering_twice_changes_nothing(dead: Path) -> None:
    recover_dead_writers(dead)
    before = {path.name: path.read_bytes() for path in sealed_dir(dead).iterdir()}
    assert recover_dead_writers(dead) == 0
    assert {path.name: path.read_bytes() for path in sealed_dir(dead).iterdir()} == before


def test_a_writer_that_sent_nothing_leaves_nothing(spool: Path) -> None:
    open_writer(spool).close()
    assert recover_dead_writers(spool) == 1
    assert list(active_dir(spool).iterdir()) == []
    assert list(sealed_dir(spool).iterdir()) == []


def test_a_torn_last_line_does_not_hide_the_lines_before_it(dead: Path) -> None:
    with active_segments(dead)[-1].open("ab") as segment:
        segment.write(b"0badcafe I {torn")
    recover_dead_writers(dead)
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER


class Crash(BaseException):
    """The process dies here."""


def crash_at_step(step: int, patch: pytest.MonkeyPatch, *, torn: bool) -> None:
    """Ends the process before the step-th change to a file; `torn`: in the middle of it, where it is a write."""
    steps = 0

    def crashing(change: Any) -> Any:
        def counted(path: Path, *args: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step:
                if torn and change.__name__ == "write_bytes":
                    change(path, args[0][: len(args[0]) // 2])
                raise Crash
            return change(path, *args, **named)

        return counted

    for name in ("rename", "unlink", "write_bytes", "rmdir"):
        patch.setattr(Path, name, crashing(getattr(Path, name)))


def drain(spool: Path) -> list[dict[str, Any]]:
    """What the drain does with sealed segments: takes their rows and deletes them."""
    rows = sealed_rows(spool)
    for path in sealed_dir(spool).iterdir():
        os.unlink(path)
    return rows


@pytest.mark.parametrize("last_segment", ["written", "just begun"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_recovery_that_dies_at_any_step_neither_loses_nor_doubles_a_line(
    dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool, last_segment: str
) -> None:
    if last_segment == "just begun":  # the writer was killed between making it and writing to it
        os.truncate(active_segments(dead)[-1], 0)
    for step in range(1, 100):
        spool = tmp_path / f"step-{step}"
        shutil.copytree(dead, spool)
        with monkeypatch.context() as patch:
            crash_at_step(step, patch, torn=torn)
            try:
                recover_dead_writers(spool)
            except Crash:
                died = True
            else:
                died = False
        rows = drain(spool)
        recover_dead_writers(spool)
        assert outcomes(rows + drain(spool)) == OF_A_KILLED_WRITER, f"died at step {step}"
        if not died:
            assert step > 6
            return
    raise AssertionError("never got through")


def test_a_recovery_that_dies_at_any_step_leaves_no_folder_behind(
    dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 9):
        spool = tmp_path / f"step-{step}"
        shutil.copytree(dead, spool)
        with monkeypatch.context() as patch:
            crash_at_step(step, patch, torn=False)
            with pytest.raises(Crash):
                recover_dead_writers(spool)
        recover_dead_writers(spool)
        assert list(active_dir(spool).iterdir()) == [], f"died at step {step}"


def test_two_recoveries_at_once_are_as_good_as_one(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first writes: it must find the lock taken."""
    write_bytes = Path.write_bytes
    seconds: list[int] = []

    def with_company(path: Path, data: bytes) -> int:
        seconds.append(recover_dead_writers(dead))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", with_company)
    recover_dead_writers(dead)
    assert seconds == [0]
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER
