"""Folders and files that no other user of the host may have a hand in."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway_batch.client import Client
from gateway_batch.config import GatewayConfig
from gateway_batch.errors import ConfigError, LedgerError
from gateway_batch.local_files import machine
from gateway_batch.local_files.locks import ByteLocks, locked
from gateway_batch.local_files.machine import on_local_disk
from gateway_batch.local_files.private import (
    NotPrivateError,
    check_not_planted,
    check_own,
    make_private,
    open_private,
    own_temporary_folder,
    write_private,
)
from gateway_batch.response_cache.process_cache import shared_dir
from gateway_batch.usage import spool_folders
from gateway_batch.usage.shipping import local_folder_for
from gateway_batch.usage.spool import prepare

ANOTHER = 65_534
needs_another_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def as_another_user(act: Callable[[], object]) -> int:
    """Does something in a process of another user; returns its exit code, 1 for an OSError."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ANOTHER)
            os.setuid(ANOTHER)
            act()
        except OSError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder like `/tmp`, which other users can reach and write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture
def temporary(anybodys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(anybodys))
    return anybodys


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        make_private(tmp_path / "a" / "b")
        write_private(tmp_path / "a" / "b" / "file", b"")
        ByteLocks(tmp_path / "a" / "c" / "locks").close()
        with locked(tmp_path / "a" / "lock"):
            pass
    assert {mode(path) for path in (tmp_path / "a").rglob("*") if path.is_dir()} == {0o700}
    assert all(mode(path) & 0o177 == 0 for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert mode(tmp_path / "a") == 0o700


def test_a_looser_folder_of_this_user_is_tightened(temporary: Path) -> None:
    own = temporary / f"gateway_batch-{os.getuid()}"
    for folder in (own, own / "runs"):
        folder.mkdir()
        folder.chmod(0o777)
    shared_dir("runs/nightly")
    assert (mode(own), mode(own / "runs")) == (0o700, 0o700)


def test_where_nothing_is_nothing_is_made(temporary: Path) -> None:
    assert own_temporary_folder("a") == temporary / f"gateway_batch-{os.getuid()}" / "a"
    check_own(temporary / "missing", "remove it")
    assert list(temporary.iterdir()) == []


def plant_folder(path: Path) -> None:
    path.mkdir(mode=0o777)
    path.chmod(0o777)


def plant_file(path: Path) -> None:
    path.touch()


def plant_link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    plant_folder(elsewhere)
    path.symlink_to(elsewhere)


@needs_another_user
@pytest.mark.parametrize("plant", [plant_folder, plant_link, plant_file])
def test_what_another_user_made_first_in_the_temporary_folder_is_refused(
    temporary: Path, plant: Callable[[Path], None]
) -> None:
    planted = temporary / f"gateway_batch-{os.getuid()}"
    assert as_another_user(partial(plant, planted)) == 0
    uses: list[Callable[[], Path]] = [partial(shared_dir, "app/answers/1"), partial(local_folder_for, "/mnt/spool")]
    for use in uses:
        with pytest.raises(ConfigError, match=f"{planted} is .*remove it, or set TMPDIR to a folder that only this"):
            use()


@needs_another_user
def test_what_another_user_made_inside_a_folder_that_was_too_loose_is_refused(temporary: Path) -> None:
    own = temporary / f"gateway_batch-{os.getuid()}"
    plant_folder(own)
    assert as_another_user((own / "runs").mkdir) == 0
    with pytest.raises(ConfigError, match=rf"runs is the folder of another user \({ANOTHER}\)"):
        shared_dir("runs/nightly")
    assert as_another_user((own / "streams").mkdir) == 1, "it has been tightened"


@needs_another_user
def test_a_client_keeps_nothing_where_another_user_was_first(temporary: Path, tmp_path: Path) -> None:
    planted = temporary / f"gateway_batch-{os.getuid()}"
    assert as_another_user(lambda: plant_folder(planted)) == 0
    config = GatewayConfig.from_env(host="https://h", token="t", spool_dir=str(tmp_path / "spool"))
    with pytest.raises(ConfigError, match="is the folder of another user"):
        Client(config)
    assert list(planted.iterdir()) == []


@needs_another_user
@pytest.mark.parametrize("planted", ["spool", "spool/active", "above"])
def test_a_spool_that_another_user_made_where_anybody_can_is_refused(anybodys: Path, planted: str) -> None:
    folder = anybodys / planted
    plant_folder(folder.parent) if folder.parent != anybodys else None
    assert as_another_user(lambda: plant_folder(folder)) == 0
    with pytest.raises(LedgerError, match=rf"{planted} is of another user \({ANOTHER}\).*set spool_dir or spool_local"):
        prepare(folder / "spool" if planted == "above" else anybodys / "spool")
    assert list(folder.iterdir()) == []


@needs_another_user
def test_a_spool_that_another_user_made_between_the_check_and_its_making_is_refused(
    anybodys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = anybodys / "spool"

    def overtaken(path: Path, instead: str) -> None:
        check_not_planted(path, instead)
        assert as_another_user(lambda: plant_folder(folder)) == 0

    monkeypatch.setattr(spool_folders, "check_not_planted", overtaken)
    with pytest.raises(LedgerError, match=rf"spool is of another user \({ANOTHER}\)"):
        prepare(folder)
    assert list(folder.iterdir()) == []


@needs_another_user
def test_a_spool_in_a_folder_of_another_user_is_used_where_only_that_user_could_make_it(tmp_path: Path) -> None:
    """As by root in a container that has a user's project mounted."""
    project = tmp_path / "project"
    project.mkdir()
    os.chown(project, ANOTHER, ANOTHER)
    prepare(project / "spool")
    assert (project / "spool" / "sealed").is_dir()


def test_a_folder_with_other_things_in_it_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "other").touch()
    prepare(tmp_path)
    assert mode(tmp_path) == 0o755
    (tmp_path / "other").unlink()
    (tmp_path / "sealed").chmod(0o777)
    prepare(tmp_path)
    assert (mode(tmp_path), mode(tmp_path / "sealed")) == (0o700, 0o700)


@pytest.mark.parametrize("shared", [0o2770, 0o3777, 0o1777])
def test_a_spool_that_was_opened_to_others_on_purpose_stays_open(tmp_path: Path, shared: int) -> None:
    folders = [tmp_path / "spool", *(tmp_path / "spool" / part for part in ("active", "sealed", "drain"))]
    for folder in folders:
        folder.mkdir()
        folder.chmod(shared)
    prepare(tmp_path / "spool")
    assert {mode(folder) for folder in folders} == {shared}


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for use in (
        lambda: open_private(tmp_path / "link"),
        lambda: write_private(tmp_path / "link", b"x"),
        lambda: ByteLocks(tmp_path / "link"),
        lambda: locked(tmp_path / "link").__enter__(),
    ):
        with pytest.raises(OSError, match="symbolic links"):
            use()
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str, flags: int) -> None:
    path = tmp_path / "other"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    with pytest.raises(OSError, match=r"is no file|No such device"):
        open_private(path, flags)
    with locked(path, where_possible=True):
        pass


@pytest.mark.parametrize("name", ["a\x0cb", "a\u2028b", "a\x85b", "a\rb", r"a\040b"])
def test_any_name_of_a_mount_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mount = tmp_path / name.replace(r"\040", " ")
    lines = f"1 0 8:1 / / rw - ext4 /dev/sda rw\n\n2 1 0:5 / {tmp_path}/{name} rw shared:1 - nfs4 server:/ rw\n"
    (tmp_path / "mountinfo").write_bytes(lines.encode())
    content = machine._content
    monkeypatch.setattr(machine, "_content", lambda path: content(str(tmp_path / Path(path).name)))
    assert (on_local_disk(mount / "spool"), on_local_disk(tmp_path)) == (False, True)


def test_the_error_is_its_own_text(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotPrivateError, match=r"file is a link or no folder, so that .*: remove it$"):
        check_own(tmp_path / "file", "remove it")
