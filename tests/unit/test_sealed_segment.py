"""Sealed segments that the disk has damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.sealed_segment import Damage, keep_damaged, read_sealed
from gateway_batch.usage.segment import Kind, event_id, read_lines
from gateway_batch.usage.spool import sealed_dir

from .samples import answered, open_writer, outcomes, record, rows_of_lines


def damage_line(segment: Path, kind: Kind, of: str) -> None:
    """One byte of one line is another."""
    (line,) = [line for found, line in read_lines(segment) if found is kind and event_id(line) == of]
    segment.write_bytes(segment.read_bytes().replace(line, line[:20] + b"#" + line[21:]))


def read_all(spool: Path) -> tuple[dict[str, list[str]], list[Damage]]:
    """Outcomes by event id, and the damage that was reported."""
    damage: list[Damage] = []
    lines = [line for path in sorted(sealed_dir(spool).iterdir()) for line in read_sealed(path, damage)]
    return outcomes(rows_of_lines(lines)), damage


def test_a_request_whose_outcome_is_damaged_is_of_unknown_outcome(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        for name in "abc":
            writer.intend(record(name))
            writer.settle(answered(name))
    (segment,) = sealed_dir(tmp_path).iterdir()
    damage_line(segment, Kind.OUTCOME, "b")
    found, damage = read_all(tmp_path)
    assert found == {"a": ["answered"], "b": ["unknown"], "c": ["answered"]}
    assert damage == [Damage(segment, lines=1, lost=1, unknown=1)]
    assert str(damage[0]).startswith(f"1 damaged lines in {segment.name}: 1 outcomes are lost")


def test_an_attempt_that_went_on_in_the_next_segment_has_one_row(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        for name in ("a", "slow"):
            writer.intend(record(name))
        writer.settle(answered("a"))
        writer.seal()
        (segment,) = sealed_dir(tmp_path).iterdir()
        damage_line(segment, Kind.OUTCOME, "a")
        assert read_all(tmp_path)[0] == {"a": ["unknown"]}  # the next one is being written
        writer.settle(answered("slow"))
    assert read_all(tmp_path)[0] == {"a": ["unknown"], "slow": ["answered"]}


def test_where_the_next_segment_is_damaged_too_a_lost_outcome_is_only_reported(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        for name in ("a", "slow"):
            writer.intend(record(name))
        writer.settle(answered("a"))
        writer.seal()
        writer.settle(answered("slow"))
    first, second = sorted(sealed_dir(tmp_path).iterdir())
    damage_line(first, Kind.OUTCOME, "a")
    damage_line(second, Kind.INTENT, "slow")
    found, damage = read_all(tmp_path)
    assert found == {"slow": ["answered"]}
    assert [(each.lost, each.unknown) for each in damage] == [(1, 0), (0, 0)]


def test_what_recovery_has_made_a_row_of_is_no_second_one(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "spool")) as writer:
        for name in ("a", "slow"):
            writer.intend(record(name))
        writer.settle(answered("a"))
        writer.intend(record("b"))
        spool = tmp_path / "killed"
        shutil.copytree(tmp_path / "spool", spool)  # the copy's lock is free, as if the process had been killed
    recover_dead_writers(spool)
    segment = next(path for path in sealed_dir(spool).iterdir() if "unknown" not in path.name)
    damage_line(segment, Kind.OUTCOME, "a")
    assert read_all(spool)[0] == {"a": ["unknown"], "b": ["unknown"], "slow": ["unknown"]}


def test_a_whole_segment_is_not_reported(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path)) as writer:
        writer.intend(record("a"))
        writer.settle(answered("a"))
    assert read_all(tmp_path) == ({"a": ["answered"]}, [])


def make_damaged_a_file(kept: Path) -> None:
    kept.parent.touch()


def make_a_folder(kept: Path) -> None:
    kept.mkdir(parents=True)


def make_a_fifo(kept: Path) -> None:
    kept.parent.mkdir()
    os.mkfifo(kept)


def link_damaged(kept: Path) -> None:
    kept.parent.symlink_to(kept.parent.parent)


@pytest.mark.parametrize("make", [None, make_damaged_a_file, make_a_folder, make_a_fifo, link_damaged])
def test_a_damaged_segment_is_kept_where_it_can_be(
    tmp_path: Path, make: Callable[[Path], None] | None, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_writer(tmp_path)) as writer:
        writer.intend(record("a"))
        writer.settle(answered("a"))
    (segment,) = sealed_dir(tmp_path).iterdir()
    kept = tmp_path / "damaged" / segment.name
    if make is not None:
        make(kept)
    assert keep_damaged(segment) == (make is None)
    if make is None:
        assert kept.read_bytes() == segment.read_bytes()
    assert ("can't be kept in" in caplog.text) == (make is not None)
