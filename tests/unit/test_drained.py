from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_batch.usage.manifests import Manifest, Manifests, Mark
from gateway_batch.usage.processed_segments import Drained
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.spool import prepare

TABLE = "ai_gateway.usage"


def name(place: int, writer: str = "host-1-ab") -> SegmentName:
    return SegmentName(writer, "unknown" if place < 0 else f"{place:06d}", 1, 10)


NAMES = st.builds(name, st.integers(-1, 30), st.sampled_from(["host-1-ab", "host-2-cd"]))


@given(st.lists(NAMES), st.lists(NAMES), NAMES)
def test_what_was_drained_is_known_and_nothing_else(
    first: list[SegmentName], then: list[SegmentName], other: SegmentName
) -> None:
    drained = Drained().adding(first).adding(then)
    again = Drained(drained.as_json())
    assert all(each in again for each in first + then)
    assert (other in again) == (other in first + then)
    joined = Drained().adding(first).union(Drained().adding(then))
    assert (other in joined) == (other in first + then)


def test_neighbours_are_one_range() -> None:
    drained = Drained().adding(name(place) for place in (3, -1, 1, 0, 2, 5))
    assert drained.as_json() == {"host-1-ab": [[-1, 3], [5, 5]]}


def test_the_writers_longest_without_a_segment_are_forgotten() -> None:
    drained = Drained().adding(name(0, f"w-{number}") for number in range(2_000))
    drained = drained.adding([name(1, "w-0"), name(0, "w-new")])
    assert name(0, "w-0") in drained
    assert name(0, "w-1") not in drained


@pytest.mark.parametrize(
    "text", ["host-17-ab-000003.12.3456.log", "a.b-host-17-ab-unknown.0.99.log", "h-1-ab-000000.1.2.copy"]
)
def test_a_name_is_read_as_it_is_written(text: str) -> None:
    found = SegmentName.of(Path("sealed") / text)
    assert found is not None
    assert str(found) == text


@pytest.mark.parametrize(
    "text", [".probe-ab", "lock", "h-1-ab-000000.1.log", "h-1-ab-x.1.2.log", "000000.1.2.log", "h-1-ab-000000.1.2.txt"]
)
def test_other_files_are_no_segments(text: str) -> None:
    assert SegmentName.of(Path(text)) is None


def test_a_copy_is_the_segment_that_it_was_made_of() -> None:
    drained = Drained().adding([SegmentName("w-1-ab", "000004", 3, 10)])
    assert SegmentName("w-1-ab", "000004", 3, 10, copied=True) in drained


def test_a_mark_is_read_as_it_is_written() -> None:
    mark = Mark.after("gateway_batch-ab", 0)
    assert Mark.of_version(mark.drain, mark.version) == Mark.of_text(mark.text) == mark
    assert (mark.counter, Mark.after(mark.drain, mark.counter).counter) == (1, 2)
    assert Mark(mark.drain, 2, 1).version > Mark(mark.drain, 1, 2**32 - 1).version
    assert Mark(mark.drain, 2**31 - 1, 2**32 - 1).version < 2**63
    assert Mark.of_text("written by hand") is None
    assert Mark.of_text("") is None


def test_a_manifest_is_kept_until_a_later_commit(tmp_path: Path) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    drain = manifests.drain_id()
    assert Manifests(tmp_path).drain_id() == drain
    lost, first, second = Mark(drain, 1, 5), Mark(drain, 1, 9), Mark(drain, 2, 3)
    content = Manifest(("host-1-ab-000000.1.10.log",), Drained().adding([name(0)]))
    for mark in (lost, first, second):
        manifests.write(TABLE, mark, content)
    manifests.remove_before(TABLE, first)
    assert manifests.read(TABLE, lost) is None
    kept = manifests.read(TABLE, first)
    assert kept is not None
    assert (kept.segments, kept.drained.as_json()) == (content.segments, content.drained.as_json())
    assert manifests.read(TABLE, second) is not None, "another drain may be about to commit it"
    assert manifests.tables() == [TABLE]


def test_a_torn_manifest_is_none(tmp_path: Path) -> None:
    """Its drain died before it could commit."""
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    mark = Mark.after(manifests.drain_id(), 0)
    manifests.write(TABLE, mark, Manifest((), Drained()))
    (path,) = (tmp_path / "drain" / TABLE).iterdir()
    path.write_bytes(path.read_bytes()[:10])
    assert manifests.read(TABLE, mark) is None
    assert manifests.last_counter(TABLE) == 1
    manifests.remove_before(TABLE, Mark.after(mark.drain, 1))
    assert manifests.last_counter(TABLE) == 0
