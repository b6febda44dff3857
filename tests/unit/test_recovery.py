from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.cli.spool_lines import lines_about
from gateway_batch.local_files.machine import machine_id
from gateway_batch.usage import spool_backlog, writer_locks
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment import Kind, Origin, header, line_of
from gateway_batch.usage.spool import active_dir, prepare, sealed_dir
from gateway_batch.usage.spool_backlog import backlog
from gateway_batch.usage.strangers import shown, strangers

from .processes import children, intend_and_hang
from .samples import active_segments, answered, open_writer, outcomes, record, sealed_rows


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    prepare(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def dead(tmp_path: Path, spool: Path) -> Path:
    """The folder of a writer that was killed between opening a segment and moving the one before it.

    Its segments: 0 with `a` answered, `moved` and `late` pending; 1 with both of them again, `late` answered since,
    and `b` pending; 2 with nothing but the pending ones.
    """
    writer = open_writer(spool)
    for name in ("a", "moved", "late"):
        writer.intend(record(name))
    writer.settle(answered("a"))
    writer.seal()
    writer.settle(answered("late"))
    writer.intend(record("b"))
    writer.seal()
    (folder,) = active_dir(spool).iterdir()
    killed = tmp_path / "killed"
    shutil.copytree(spool, killed)
    for path in sealed_dir(killed).iterdir():
        number = path.name.removeprefix(f"{folder.name}-").partition(".")[0]
        path.rename(active_dir(killed) / folder.name / f"{number}.log")
    writer.close()
    return killed


EXPECTED = {"a": ["answered"], "late": ["answered"], "moved": ["unknown"], "b": ["unknown"]}


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


def under_another_name(dead: Path) -> Path:
    """As a container has another host name each time it starts."""
    (folder,) = active_dir(dead).iterdir()
    return folder.rename(folder.with_name(f"another-host-17-{folder.name.split('-')[-1]}"))


def of_version_0_1(dead: Path) -> Path:
    """Its header says nothing of where it was written, and its folder was never locked."""
    (folder,) = active_dir(dead).iterdir()
    for path in active_segments(dead):
        _, *rest = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join((header(folder.name), *rest)))
    return folder


@pytest.mark.parametrize("lock", ["there", "cleaned away", "a folder", "a link"])
@pytest.mark.parametrize("name", ["the same", "another"])
def test_a_dead_process_is_known_by_its_locks_whatever_the_host_is_called(dead: Path, name: str, lock: str) -> None:
    if name == "another":
        under_another_name(dead)
    (file,) = active_dir(dead).glob("*/lock")
    if lock != "there":
        file.unlink()
    if lock == "a folder":
        file.mkdir()
    elif lock == "a link":
        file.symlink_to(dead)
    assert waiting(dead) == [(4, 0)]
    assert recover_dead_writers(dead) == 1
    assert outcomes(sealed_rows(dead)) == EXPECTED
    assert strangers(dead) == ([file] if lock.startswith("a ") else [])
    assert list(active_dir(dead).iterdir()) == ([file.parent] if lock.startswith("a ") else [])
    assert waiting(dead) == [(4, 0)]


def test_a_living_process_whose_lock_was_cleaned_away_is_left_alone(spool: Path) -> None:
    with children(1, intend_and_hang, spool, ["a"], ["b"]) as [child]:
        assert child.hear() == "ready"
        next(active_dir(spool).glob("*/lock")).unlink()
        assert recover_dead_writers(spool) == 0
        assert waiting(spool) == []
        child.kill()
        assert recover_dead_writers(spool) == 1
    assert outcomes(sealed_rows(spool)) == {"a": ["answered"], "b": ["unknown"], "last": ["unknown"]}


def waiting(spool: Path) -> list[tuple[int, int]]:
    """Records that a flush commits, and those of processes that are not proven dead."""
    return [(each.records, each.elsewhere + each.unlocked) for each in backlog(spool).waiting]


@pytest.mark.parametrize(
    ("arrange", "boot", "recovered"),
    [
        (lambda dead: None, "this", True),
        (under_another_name, "this", True),
        (lambda dead: None, "an earlier", machine_id() is not None),
        (under_another_name, "another's", False),
        (of_version_0_1, "this", True),
        (lambda dead: under_another_name(dead) and of_version_0_1(dead), "this", False),
        (lambda dead: (of_version_0_1(dead) / "lock").unlink(), "this", False),
    ],
)
def test_on_a_mount_only_this_machines_processes_are_proven_dead(
    dead: Path, monkeypatch: pytest.MonkeyPatch, arrange: Callable[[Path], object], boot: str, recovered: bool
) -> None:
    """Its locks may be kept to the machine that takes them."""
    monkeypatch.setattr(writer_locks, "on_local_disk", lambda path: False)
    arrange(dead)
    if boot != "this":
        monkeypatch.setattr(writer_locks, "boot_id", lambda: "another")
    assert waiting(dead) == [(4, 0) if recovered else (0, 4)]
    assert recover_dead_writers(dead) == recovered
    assert outcomes(sealed_rows(dead)) == (EXPECTED if recovered else {})


def of_origin(dead: Path, origin: Origin) -> None:
    for path in active_segments(dead):
        _, *rest = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join((header("w", origin), *rest)))


@pytest.mark.parametrize(("theirs", "here"), [("n", "m"), (None, None)])
def test_a_machine_that_was_given_the_same_host_name_is_another(
    dead: Path, monkeypatch: pytest.MonkeyPatch, theirs: str | None, here: str | None
) -> None:
    for name, found in (("on_local_disk", lambda path: False), ("boot_id", lambda: "b"), ("machine_id", lambda: here)):
        monkeypatch.setattr(writer_locks, name, found)
    of_origin(dead, Origin(boot="a", machine=theirs, folder_locked=True))
    assert recover_dead_writers(dead) == 0
    assert waiting(dead) == [(0, 4)]


def lock_as_a_client_of_this_disk(lock: Path, ready: int, go: int) -> None:
    """As an NFS server does for a client that calls `flock`: by a byte-range lock of the file."""
    fcntl.lockf(os.open(lock, os.O_RDWR), fcntl.LOCK_EX)
    os.write(ready, b"x")
    os.read(go, 1)


@pytest.mark.parametrize("boot", ["this", "another's"])
def test_a_living_writer_on_a_client_of_this_disk_is_left_alone(
    dead: Path, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    lock = under_another_name(dead) / "lock"
    if boot != "this":
        monkeypatch.setattr(writer_locks, "boot_id", lambda: "another")
    (hear, ready), (go, say) = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        lock_as_a_client_of_this_disk(lock, ready, go)
        os._exit(0)
    os.read(hear, 1)
    assert recover_dead_writers(dead) == 0
    assert waiting(dead) == []
    os.write(say, b"x")
    os.waitpid(child, 0)
    for end in (hear, ready, go, say):
        os.close(end)
    assert recover_dead_writers(dead) == 1
    assert outcomes(sealed_rows(dead)) == EXPECTED


def test_a_lock_of_the_folder_proves_nothing_about_another_machine(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client of this disk may keep it to itself, and a cleaner may have taken the file `lock`."""
    (under_another_name(dead) / "lock").unlink()
    monkeypatch.setattr(writer_locks, "boot_id", lambda: "another")
    assert recover_dead_writers(dead) == 0
    assert waiting(dead) == [(0, 4)]


def test_a_process_whose_locks_are_gone_waits_for_a_word_that_it_has_ended(dead: Path) -> None:
    folder = of_version_0_1(dead)
    (folder / "lock").unlink()
    assert recover_dead_writers(dead) == 0
    (line,) = lines_about(backlog(dead), "ai_gateway.usage")
    assert line.startswith("4 records in the spool since ")
    assert line.endswith(f"Once you know that, make an empty file 'lock' in {folder}: the next flush takes them")
    (folder / "lock").touch()
    assert recover_dead_writers(dead) == 1
    assert outcomes(sealed_rows(dead)) == EXPECTED


def test_a_process_elsewhere_waits_for_a_flush_there(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_locks, "on_local_disk", lambda path: False)
    under_another_name(dead)
    of_origin(dead, Origin(boot="another's"))
    (line,) = lines_about(backlog(dead), "ai_gateway.usage")
    assert "of processes on another-host since " in line
    assert line.endswith("it can't be proven from here that they have ended: a flush on that machine takes them")


def test_who_looks_what_waits_hinders_no_recovery(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recovered: list[int] = []

    def meanwhile(path: Path) -> Origin:
        recovered.append(recover_dead_writers(dead))
        return Origin()

    monkeypatch.setattr(spool_backlog, "segment_origin", meanwhile)
    backlog(dead)
    assert recovered == [1]
    assert outcomes(sealed_rows(dead)) == EXPECTED


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
    assert outcomes(sealed_rows(dead)) == EXPECTED
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
    assert set(outcomes_that_are_records(dead)) == set(EXPECTED)
    assert "host-0-0badcafe can't be recovered (unknown.log is no file): its records stay there" in caplog.text


@pytest.mark.parametrize("name", ["unknown.log", "unknown.tmp"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_in_place_of_one_loses_no_intent(dead: Path, name: str, make: Callable[[Path], None]) -> None:
    (folder,) = active_dir(dead).iterdir()
    make(folder / name)
    recovered = recover_dead_writers(dead)
    assert recovered == (name == "unknown.tmp")
    assert outcomes(sealed_rows(dead)) == (EXPECTED if recovered else {})
    assert strangers(dead) == [folder / name]
    if not recovered:
        folder.joinpath(name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
        assert recover_dead_writers(dead) == 1
        assert outcomes(sealed_rows(dead)) == EXPECTED


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
    assert outcomes(sealed_rows(dead)) == EXPECTED
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
    assert outcomes(sealed_rows(dead)) == EXPECTED


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
        assert outcomes(rows + drain(spool)) == EXPECTED, f"died at step {step}"
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
    assert outcomes(sealed_rows(dead)) == EXPECTED
