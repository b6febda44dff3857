"""Segments on their way from a host's folder to the shared one."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway_batch.errors import LedgerError
from gateway_batch.usage import background_shipping
from gateway_batch.usage.background_shipping import Shipper
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.shipping import local_folder_for, ship, ship_if_private, ship_leftovers
from gateway_batch.usage.spool import active_dir, prepare, sealed_dir, sealed_segments
from tests.waiting import WITHIN_S

from .processes import children, intend_and_hang
from .samples import answered, open_writer, outcomes, record, sealed_rows


@pytest.fixture
def local(tmp_path: Path) -> Path:
    prepare(tmp_path / "local")
    return tmp_path / "local"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    prepare(tmp_path / "shared")
    return tmp_path / "shared"


def write(local: Path, *names: str) -> None:
    """A segment each."""
    with closing(open_writer(local)) as writer:
        for name in names:
            writer.intend(record(name))
            writer.settle(answered(name))
            writer.seal()


def test_what_is_sealed_is_copied_whole_and_then_deleted_here(local: Path, shared: Path) -> None:
    write(local, "a", "b")
    assert ship(local, shared) == 2
    assert ship(local, shared) == 0
    assert not sealed_segments(local)
    assert all(name.copied for _, name in sealed_segments(shared))
    assert outcomes(sealed_rows(shared)) == {"a": ["answered"], "b": ["answered"]}


def test_a_copy_that_a_death_cut_short_is_made_again(local: Path, shared: Path) -> None:
    write(local, "a")
    ((path, name),) = sealed_segments(local)
    torn = sealed_dir(shared) / str(SegmentName(name.writer, name.number, name.rows, name.size, copied=True))
    torn.write_bytes(path.read_bytes()[:50])
    ship(local, shared)
    assert outcomes(sealed_rows(shared)) == {"a": ["answered"]}


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_what_has_the_name_of_a_copy_and_is_none_keeps_one_segment_here(
    local: Path, shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    write(local, "a", "b")
    (path, name), _ = sealed_segments(local)
    content = path.read_bytes()
    planted = sealed_dir(shared) / str(replace(name, copied=True))
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"x" * len(content))
        planted.symlink_to(tmp_path / "elsewhere")
    else:
        (Path.mkdir if kind == "folder" else os.mkfifo)(planted)
    assert [ship(local, shared) for _ in range(2)] == [1, 0]
    assert path.read_bytes() == content
    assert outcomes(sealed_rows(shared)) == {"b": ["answered"]}
    assert caplog.text.count("can't be copied, and stays here") == 1


def test_what_dead_processes_of_the_host_left_is_copied_too(local: Path, shared: Path) -> None:
    with children(1, intend_and_hang, local, ["a"], ["b"]) as [child]:
        assert child.hear() == "ready"
        assert ship_leftovers(local, shared) == 0
        child.kill()
    assert ship_leftovers(local, shared) > 0
    assert outcomes(sealed_rows(shared)) == {"a": ["answered"], "b": ["unknown"], "last": ["unknown"]}


def test_many_processes_copy_each_segment_once(local: Path, shared: Path) -> None:
    write(local, *(str(number) for number in range(40)))
    shipped: list[int] = []
    threads = [threading.Thread(target=lambda: shipped.append(ship(local, shared))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(shipped) == len(sealed_segments(shared)) == 40


def test_a_shared_folder_that_is_away_costs_nothing_but_time(local: Path, shared: Path) -> None:
    write(local, "a")
    sealed, away = sealed_dir(shared), shared / "away"
    sealed.rename(away)
    with pytest.raises(LedgerError, match=r"can't be copied to the spool folder .* they are safe in .*local on this"):
        ship(local, shared)
    away.rename(sealed)
    assert ship(local, shared) == 1


def test_a_task_waits_for_the_shared_folder_to_come_back(
    local: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(local, "a")
    sealed, away = sealed_dir(shared), shared / "away"
    sealed.rename(away)
    failures: list[LedgerError] = []

    def come_back_after_two_failures(local: Path, shared: Path) -> int:
        try:
            return ship_leftovers(local, shared)
        except LedgerError as error:
            failures.append(error)
            if len(failures) == 2:
                away.rename(sealed)
            raise

    monkeypatch.setattr(background_shipping, "ship_leftovers", come_back_after_two_failures)
    asyncio.run(Shipper(local, shared).ship(within_s=WITHIN_S))
    assert len(failures) == 2
    assert outcomes(sealed_rows(shared)) == {"a": ["answered"]}


def test_a_task_does_not_end_well_without_the_shared_folder(local: Path, shared: Path) -> None:
    write(local, "a")
    sealed_dir(shared).rename(shared / "away")
    with pytest.raises(LedgerError, match="can't be copied"):
        asyncio.run(Shipper(local, shared).ship(within_s=0.0))
    assert len(sealed_segments(local)) == 1


def test_a_round_beside_the_calls_fails_quietly(local: Path, shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(local, "a")
    sealed_dir(shared).rename(shared / "away")

    async def one_round() -> None:
        shipper = Shipper(local, shared)
        shipper.start_round()
        shipper.start_round()
        assert shipper._background is not None
        await shipper._background

    with caplog.at_level(logging.WARNING):
        asyncio.run(one_round())
    assert caplog.text.count("can't be copied to the spool folder") == 1


def test_a_host_has_a_folder_for_each_shared_one(tmp_path: Path) -> None:
    first, second = local_folder_for("/mnt/a"), local_folder_for("/mnt/b")
    assert first != second
    assert first == local_folder_for(Path("/mnt/a"))
    assert local_folder_for("/mnt/a", str(tmp_path)) == tmp_path / first.name


def test_a_flush_takes_over_from_a_local_folder_that_a_cleaner_made_smaller(local: Path, shared: Path) -> None:
    write(local, "a")
    for folder in active_dir(local).iterdir():
        (folder / "lock").unlink()
        folder.rmdir()
    active_dir(local).rmdir()
    assert ship_if_private(local, shared) == 1
    assert ship_if_private(local.with_name("missing"), shared) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_a_flush_takes_nothing_from_a_local_folder_that_another_user_planted(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        base = Path(folder) / "base"
        local = local_folder_for(shared, str(base))
        write(local, "planted")
        for path in (base, *base.rglob("*")):
            os.chown(path, 65_534, 65_534)
        assert [ship_if_private(local, shared) for _ in range(2)] == [0, 0]
    assert sealed_segments(shared) == []
    assert caplog.text.count("is not copied:") == 1
    assert "is of another user (65534)" in caplog.text
