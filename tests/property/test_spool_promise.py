"""Every attempt whose intent was written has exactly one row, whatever happens to the disk and the process."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_batch.errors import LedgerError
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.segment_tables import is_for, names_no_table
from gateway_batch.usage.spool import SpoolWriter, active_dir, prepare, sealed_segments
from tests.unit.samples import (
    answered,
    never,
    no_file_longer_than,
    open_writer,
    outcomes,
    record,
    rows_in,
    sealed_rows,
)

# What happens next, and to how many bytes files are bounded meanwhile: a disk that fills up and has room again.
STEPS = st.lists(
    st.tuples(st.sampled_from(["intend", "intend", "settle", "settle", "seal"]), st.none() | st.integers(0, 6000)),
    max_size=14,
)
STEPS_OF_A_GOOD_DISK = st.lists(
    st.tuples(st.sampled_from(["intend", "intend", "settle", "seal"]), st.none()), max_size=25
)


def play(spool: Path, steps: list[tuple[str, int | None]]) -> None:
    writer = open_writer(spool)
    intended: list[str] = []
    open_attempts: list[str] = []
    for number, (step, room) in enumerate(steps):
        with contextlib.ExitStack() as disk:
            if room is not None:
                disk.enter_context(no_file_longer_than(room))
            with contextlib.suppress(LedgerError):
                if step == "intend":
                    writer.intend(record(str(number)))
                    intended.append(str(number))
                    open_attempts.append(str(number))
                elif step == "settle" and open_attempts:
                    writer.settle(answered(open_attempts.pop(number % len(open_attempts))))
                elif step == "seal":
                    writer.seal()
    killed = spool.with_name("killed")
    shutil.copytree(spool, killed)  # the copy's lock is free, as if the process had been killed
    check(killed, intended, set())
    with contextlib.suppress(LedgerError):
        writer.seal()
    writer.close()
    check(spool, intended, set(intended) - set(open_attempts))


def check(spool: Path, intended: list[str], answers: set[str]) -> None:
    recover_dead_writers(spool)
    rows = outcomes(sealed_rows(spool))
    assert sorted(rows) == sorted(intended)
    assert all(len(found) == 1 for found in rows.values()), rows
    assert all(rows[event_id] == ["answered"] for event_id in answers)


@settings(max_examples=40, deadline=None)
@given(STEPS_OF_A_GOOD_DISK)
def test_each_attempt_has_one_row(steps: list[tuple[str, int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder) / "spool", steps)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_each_attempt_has_one_row_on_a_disk_that_fills_up(steps: list[tuple[str, int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder) / "spool", steps)


WRITERS = st.lists(
    st.tuples(
        st.sampled_from(["team_a.usage", "team_b.usage", None]),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["", "another name", "no lock"]),
    ),
    max_size=5,
)


@settings(max_examples=30, deadline=None)
@given(WRITERS)
def test_each_attempt_goes_to_its_table_whoever_shares_the_spool_and_however_its_writer_is_found(
    writers: list[tuple[str | None, int, int, str]],
) -> None:
    """Writers that died with some attempts answered and some not, of two tables and of version 0.1."""
    expected: dict[str | None, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        prepare(spool)
        for number, (table, done, lost, state) in enumerate(writers):
            events = [f"{number}-{attempt}" for attempt in range(done + lost)]
            expected.setdefault(table, set()).update(events)
            writer = SpoolWriter(spool, never, table=table)
            for event_id in events:
                writer.intend(record(event_id))
            for event_id in events[:done]:
                writer.settle(answered(event_id))
            writer._write_outcomes()
            writer._locks.release()  # as by a kill
            if state == "no lock":
                (active_dir(spool) / writer.writer / "lock").unlink()
            elif state:
                found = active_dir(spool) / writer.writer
                found.rename(found.with_name(f"pod-{number}-{found.name.partition('-')[2]}"))
        recover_dead_writers(spool)
        for table in expected:
            own = [path for path, name in sealed_segments(spool) if is_of(path, name, table)]
            assert outcomes(rows_in(own)).keys() == expected[table]
        assert len(sealed_rows(spool)) == sum(map(len, expected.values()))


def is_of(path: Path, name: SegmentName, table: str | None) -> bool:
    return names_no_table(path, name) if table is None else is_for(path, name, table) and not names_no_table(path, name)
