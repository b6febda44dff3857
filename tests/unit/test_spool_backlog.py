"""What waits in a spool: for which table, since when, and what is not of it."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway_batch.cli.spool_lines import lines_about
from gateway_batch.errors import LedgerError
from gateway_batch.usage import spool_backlog
from gateway_batch.usage.foreign_files import strangers
from gateway_batch.usage.manifests import CommitId, Manifest, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment import Origin, header
from gateway_batch.usage.segment_names import SegmentName, host_of, key_of_table, table_key, writer_name
from gateway_batch.usage.segment_tables import is_for, names_no_table
from gateway_batch.usage.shipping import ship
from gateway_batch.usage.spool import SpoolWriter, active_dir, prepare, sealed_dir, sealed_segments
from gateway_batch.usage.spool_backlog import SpoolBacklog, backlog, backlog_of, records_waiting

from .samples import answered, never, record

FLUSH = "gateway-batch usage flush"
A, B = "team_a.usage", "team_b.usage"


def write(spool: Path, table: str | None, count: int, pending: int = 0) -> str:
    """A segment of that many records, and requests that were under way when the writer ended."""
    with closing(SpoolWriter(spool, never, table=table)) as writer:
        for number in range(count):
            writer.intend(record(f"{table}-{number}"))
            writer.settle(answered(f"{table}-{number}"))
        for number in range(pending):
            writer.intend(record(f"{table}-pending-{number}"))
        return writer.writer


def waiting(spool: Path) -> dict[str | None, int]:
    return {each.table: each.records for each in backlog(spool).waiting}


def owners(spool: Path) -> list[tuple[bool, bool, bool]]:
    """Of each segment: whether it is for A, for B, and names no table."""
    return [(is_for(*each, A), is_for(*each, B), names_no_table(*each)) for each in sealed_segments(spool)]


def test_a_segment_knows_its_table(tmp_path: Path) -> None:
    write(tmp_path, A, 1)
    assert owners(tmp_path) == [(True, False, False)]
    assert all(is_for(*each, f"spark_catalog.{A.upper()}") for each in sealed_segments(tmp_path))


def test_so_does_one_that_is_copied_and_one_that_recovery_made(tmp_path: Path) -> None:
    local, shared = tmp_path / "local", tmp_path / "shared"
    prepare(shared)
    write(local, A, 1, pending=2)
    recover_dead_writers(local)
    assert ship(local, shared) == 2
    assert owners(shared) == [(True, False, False)] * 2


def test_it_knows_it_by_its_name_where_its_header_is_damaged_and_by_its_header_under_another_name(
    tmp_path: Path,
) -> None:
    writer = write(tmp_path, A, 1)
    ((path, name),) = sealed_segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(b"#" + whole[1:])
    assert owners(tmp_path) == [(True, False, False)]
    path.write_bytes(whole)
    path.rename(path.with_name(str(name).replace(writer, "host-1-0badcafe")))
    assert owners(tmp_path) == [(True, False, False)]


def test_one_of_version_0_1_is_for_whoever_drains_it(tmp_path: Path) -> None:
    write(tmp_path, None, 1)
    assert owners(tmp_path) == [(True, True, True)]


def test_a_name_without_a_table_is_that_of_version_0_1() -> None:
    old, new = writer_name(), writer_name(A)
    host_and_process = f"{os.uname().nodename}-{os.getpid()}"
    assert (old.rsplit("-", 1)[0], new.rsplit("-", 1)[0]) == (host_and_process,) * 2
    assert (key_of_table(old), key_of_table(new), host_of(new)) == (None, table_key(A), os.uname().nodename)


def test_what_waits_is_counted_for_each_table_with_what_dead_processes_left(tmp_path: Path) -> None:
    write(tmp_path, A, 3, pending=2)
    write(tmp_path, B, 5)
    write(tmp_path, None, 7)
    assert waiting(tmp_path) == {None: 7, A: 5, B: 5}
    assert records_waiting(tmp_path, A, lambda _: None) == 5 + 7
    recover_dead_writers(tmp_path)
    assert waiting(tmp_path) == {None: 7, A: 5, B: 5}


def test_what_a_living_process_has_not_sealed_does_not_wait(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, never, table=A)
    writer.intend(record("a"))
    assert backlog(tmp_path).waiting == ()
    writer.close()
    assert waiting(tmp_path) == {A: 1}


def test_it_waits_since_its_oldest_file_was_written(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path, A, 1)
    os.utime(sealed_segments(tmp_path)[0][0], (0, 1_700_000_000))
    assert [each.since for each in backlog(tmp_path).waiting] == [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)]


def test_what_is_committed_does_not_wait(tmp_path: Path) -> None:
    write(tmp_path, A, 3)
    manifests = Manifests(tmp_path)
    commit_id = CommitId.after(manifests.drain_id(), 0)
    names = [name for _, name in sealed_segments(tmp_path)]
    manifests.write(A, commit_id, Manifest(tuple(map(str, names)), ProcessedSegments().adding(names)))
    assert records_waiting(tmp_path, A, lambda drain: {commit_id.drain: commit_id.version}[drain]) == 0
    assert records_waiting(tmp_path, A, lambda _: None) == 3


def test_a_time_that_no_calendar_has_is_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, A, 1)
    monkeypatch.setattr(spool_backlog, "_LATEST", 1_700_000_000.0)
    assert [each.since for each in backlog(tmp_path).waiting] == [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)]


def test_the_latest_time_is_one_of_the_calendar() -> None:
    assert datetime.fromtimestamp(spool_backlog._LATEST, UTC).year == 9999


def test_what_waits_in_this_hosts_own_folder_is_counted_once(tmp_path: Path) -> None:
    local, shared = tmp_path / "local", tmp_path / "shared"
    prepare(shared)
    assert backlog(shared, local_dir=local) == SpoolBacklog()
    write(local, A, 3, pending=2)
    ((path, name),) = sealed_segments(local)
    (sealed_dir(shared) / str(replace(name, copied=True))).write_bytes(path.read_bytes())
    (found,) = backlog(shared, local_dir=local).waiting
    assert (found.table, found.records) == (A, 5)
    assert [each.records for each in backlog_of(shared, A, lambda _: None, local).waiting] == [5]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_who_may_not_read_a_spool_is_told_so(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        spool = Path(folder) / "spool"
        write(spool, A, 1)
        try:
            os.seteuid(65_534)
            with pytest.raises(LedgerError, match=f"what waits in {spool} can't be read: Permission denied"):
                backlog(spool)
            with pytest.raises(LedgerError, match="Permission denied"):
                backlog_of(spool, A, lambda _: None)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("table", ["x\x1b[2J; rm -rf ~", "other.usage"])
def test_a_name_of_a_table_that_is_none_is_in_no_command(tmp_path: Path, table: str) -> None:
    write(tmp_path, B, 1)
    ((path, name),) = sealed_segments(tmp_path)
    _, *rest = path.read_bytes().splitlines(keepends=True)
    content = header(name.writer, Origin(table)) + b"".join(rest)
    path.unlink()
    (sealed_dir(tmp_path) / str(replace(name, size=len(content)))).write_bytes(content)
    (line,) = lines_about(backlog(tmp_path), A)
    assert line.endswith("are for a table whose name is damaged there")


def test_a_folder_that_is_missing_has_nothing(tmp_path: Path) -> None:
    assert records_waiting(tmp_path / "missing", A, lambda _: None) == 0
    assert not (tmp_path / "missing").exists()


def test_a_damaged_header_names_no_other_table(tmp_path: Path) -> None:
    write(tmp_path, B, 3)
    ((path, _),) = sealed_segments(tmp_path)
    path.write_bytes(b"#" + path.read_bytes()[1:])
    assert records_waiting(tmp_path, A, lambda _: None) == 0
    assert records_waiting(tmp_path, B, lambda _: None) == 3
    (line,) = lines_about(backlog(tmp_path), A)
    assert line.endswith("are for a table whose name is damaged there")


def test_what_is_not_of_the_spool_is_named(tmp_path: Path) -> None:
    write(tmp_path, A, 1)
    ((segment, name),) = sealed_segments(tmp_path)
    manifests = Manifests(tmp_path)
    manifests.write(A, CommitId.after(manifests.drain_id(), 0), Manifest((), ProcessedSegments()))
    recover_dead_writers(tmp_path)
    assert strangers(tmp_path) == []
    planted = [
        active_dir(tmp_path) / "notes",
        sealed_dir(tmp_path) / "notes.txt",
        sealed_dir(tmp_path) / str(SegmentName("folder-1-0badcafe", "000000", 1, 9)),
        sealed_dir(tmp_path) / str(SegmentName("link-1-0badcafe", "000000", 1, 999)),
        sealed_dir(tmp_path) / str(SegmentName("large-1-0badcafe", "000000", 1, 9)),
        sealed_dir(tmp_path) / "\udcff-1-0badcafe-000000.1.10.log",
        tmp_path / "drain" / "lock",
        tmp_path / "drain" / "id-1",
        tmp_path / "drain" / "README",
        tmp_path / "drain" / "no table's name",
        tmp_path / "drain" / A / "1-1.json",
        tmp_path / "drain" / A / "0000000002-00000001.json",
    ]
    for path in planted:
        if path.name.startswith("link"):
            path.symlink_to(segment)
        elif path.name.startswith(("folder", "0000000002", "no table", "lock")):
            path.mkdir()
        else:
            path.write_bytes(b"\xff" * 10)
    assert strangers(tmp_path) == sorted(planted)
    assert sealed_segments(tmp_path) == [(segment, name)]
    lines = lines_about(backlog(tmp_path), A)
    assert sum("is not of the spool, or can't be read: left alone" in line for line in lines) == 5
    assert lines[-1] == "7 more files there are not of the spool"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([A], ["2 more records wait in the spool since {}: gateway-batch usage flush commits them"]),
        ([None], ["2 more records wait in the spool since {}: gateway-batch usage flush commits them"]),
        ([B], [f"2 records in the spool are for {B} since {{}}: {FLUSH} --usage-table {B} commits them"]),
        ([], []),
    ],
)
def test_the_terminal_says_what_waits_and_what_to_do(
    tmp_path: Path, tables: list[str | None], expected: list[str]
) -> None:
    prepare(tmp_path)
    for table in tables:
        write(tmp_path, table, 2)
    for path, _ in sealed_segments(tmp_path):
        os.utime(path, (0, 1_700_000_000))
    assert lines_about(backlog(tmp_path), A) == [line.format("2023-11-14 22:13 UTC") for line in expected]
