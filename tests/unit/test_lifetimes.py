"""Folders that go with the processes that hold them."""

from __future__ import annotations

import time
from pathlib import Path

from gateway_batch.local_files.lifetimes import HeldFolder, is_held, remove_ended

from .processes import Pipe, children


def hold_and_hang(pipe: Pipe[object, object], folder: Path) -> None:
    """Holds a folder until it is killed."""
    HeldFolder(folder)
    (folder / "answers").touch()
    pipe.send("ready")
    time.sleep(600)


def test_a_folder_goes_with_its_only_holder(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    held = HeldFolder(folder)
    assert is_held(folder)
    assert folder.stat().st_mode & 0o077 == 0
    held.release()
    held.release()
    assert not folder.exists()


def test_a_folder_stays_while_another_process_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    held = HeldFolder(folder)
    with children(1, hold_and_hang, folder) as [child]:
        assert child.hear() == "ready"
        held.release()
        remove_ended(tmp_path)
        assert (folder / "answers").exists()
        child.kill()
    remove_ended(tmp_path)
    assert not folder.exists()


def test_what_nobody_ever_held_and_strangers_stay(tmp_path: Path) -> None:
    (tmp_path / "runs" / "nightly").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "held").symlink_to(tmp_path / "file")
    remove_ended(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "linked", "runs"]
    remove_ended(tmp_path / "missing")


def test_a_folder_that_was_just_removed_is_made_again(tmp_path: Path) -> None:
    one = HeldFolder(tmp_path / "app")
    one.release()
    two = HeldFolder(tmp_path / "app")
    remove_ended(tmp_path)
    assert (tmp_path / "app").is_dir()
    two.release()
