"""What proves the death of a writer, and what doesn't."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway_batch.cli.spool_lines import lines_about
from gateway_batch.local_files.machine import machine_id
from gateway_batch.usage import spool_backlog, writer_locks
from gateway_batch.usage.foreign_files import strangers
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment import Origin, header
from gateway_batch.usage.spool import active_dir
from gateway_batch.usage.spool_backlog import backlog

from .processes import children, intend_and_hang
from .samples import (
    OF_A_KILLED_WRITER,
    active_segments,
    outcomes,
    sealed_rows,
)


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
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER
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
    assert outcomes(sealed_rows(dead)) == (OF_A_KILLED_WRITER if recovered else {})


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
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER


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
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER


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
    assert outcomes(sealed_rows(dead)) == OF_A_KILLED_WRITER
