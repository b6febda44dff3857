from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.usage.manifests import CommitId, Manifest, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.segment import header
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.spool import prepare, sealed_dir

TABLE = "ai_gateway.usage"


def name(place: int, writer: str = "host-1-ab") -> SegmentName:
    return SegmentName(writer, "unknown" if place < 0 else f"{place:06d}", 1, 10)


NAMES = st.builds(name, st.integers(-1, 30), st.sampled_from(["host-1-ab", "host-2-cd"]))


@given(st.lists(NAMES), st.lists(NAMES), NAMES)
def test_what_was_drained_is_known_and_nothing_else(
    first: list[SegmentName], then: list[SegmentName], other: SegmentName
) -> None:
    processed = ProcessedSegments().adding(first).adding(then)
    again = ProcessedSegments(processed.as_json())
    assert all(each in again for each in first + then)
    assert (other in again) == (other in first + then)
    joined = ProcessedSegments().adding(first).union(ProcessedSegments().adding(then))
    assert (other in joined) == (other in first + then)


def test_neighbours_are_one_range() -> None:
    processed = ProcessedSegments().adding(name(place) for place in (3, -1, 1, 0, 2, 5))
    assert processed.as_json() == {"host-1-ab": [[-1, 3], [5, 5]]}


def test_the_writers_longest_without_a_segment_are_forgotten() -> None:
    processed = ProcessedSegments().adding(name(0, f"w-{number}") for number in range(2_000))
    processed = processed.adding([name(1, "w-0"), name(0, "w-new")])
    assert name(0, "w-0") in processed
    assert name(0, "w-1") not in processed


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
    processed = ProcessedSegments().adding([SegmentName("w-1-ab", "000004", 3, 10)])
    assert SegmentName("w-1-ab", "000004", 3, 10, copied=True) in processed


def test_a_mark_is_read_as_it_is_written() -> None:
    commit_id = CommitId.after("gateway_batch-ab", 0)
    assert CommitId.of_version(commit_id.drain, commit_id.version) == CommitId.of_text(commit_id.text) == commit_id
    assert (commit_id.counter, CommitId.after(commit_id.drain, commit_id.counter).counter) == (1, 2)
    assert CommitId(commit_id.drain, 2, 1).version > CommitId(commit_id.drain, 1, 2**32 - 1).version
    assert CommitId(commit_id.drain, 2**31 - 1, 2**32 - 1).version < 2**63
    assert CommitId.of_text("written by hand") is None
    assert CommitId.of_text("") is None


def test_a_manifest_is_kept_until_a_later_commit(tmp_path: Path) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    drain = manifests.drain_id()
    assert Manifests(tmp_path).drain_id() == drain
    lost, first, second = CommitId(drain, 1, 5), CommitId(drain, 1, 9), CommitId(drain, 2, 3)
    content = Manifest(("host-1-ab-000000.1.10.log",), ProcessedSegments().adding([name(0)]))
    for commit_id in (lost, first, second):
        manifests.write(TABLE, commit_id, content)
    manifests.remove_before(TABLE, first)
    assert manifests.read(TABLE, lost) is None
    kept = manifests.read(TABLE, first)
    assert kept is not None
    assert (kept.segments, kept.processed.as_json()) == (content.segments, content.processed.as_json())
    assert manifests.read(TABLE, second) is not None, "another drain may be about to commit it"
    assert manifests.tables() == [TABLE]


def test_a_manifest_says_whether_it_knows_all_that_was_taken(tmp_path: Path) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    for counter, complete in enumerate((True, False)):
        commit_id = CommitId.after(manifests.drain_id(), counter)
        manifests.write(TABLE, commit_id, Manifest(complete=complete))
        found = manifests.read(TABLE, commit_id)
        assert found is not None
        assert found.complete == complete


def test_a_torn_manifest_is_none(tmp_path: Path) -> None:
    """Its drain died before it could commit."""
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    commit_id = CommitId.after(manifests.drain_id(), 0)
    manifests.write(TABLE, commit_id, Manifest((), ProcessedSegments()))
    (path,) = (tmp_path / "drain" / TABLE).iterdir()
    path.write_bytes(path.read_bytes()[:10])
    assert manifests.read(TABLE, commit_id) is None
    assert manifests.last_counter(TABLE) == 1
    manifests.remove_before(TABLE, CommitId.after(commit_id.drain, 1))
    assert manifests.last_counter(TABLE) == 0


DAMAGED = {
    "empty": b"",
    "an empty object": b"{}",
    "no object": b"[]",
    "no text": b"\xff\xfe",
    "of a newer version": b'{"format":2,"segments":[],"drained":{}}',
    "segments of another form": b'{"format":1,"segments":[1],"drained":{}}',
    "a path out of the folder": b'{"format":1,"segments":["../../h-1-ab-000000.1.10.log"],"drained":{}}',
    "ranges of another form": b'{"format":1,"segments":[],"drained":{"w":[[1]]}}',
    "ranges that are no list": b'{"format":1,"segments":[],"drained":{"w":1}}',
    "ranges of texts": b'{"format":1,"segments":[],"drained":{"w":[["a","b"]]}}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_manifest_is_none_and_known_to_be_there(tmp_path: Path, content: bytes) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    commit_id = CommitId.after(manifests.drain_id(), 0)
    assert not manifests.has(TABLE, commit_id)
    manifests.write(TABLE, commit_id, Manifest((), ProcessedSegments()))
    assert manifests.read(TABLE, commit_id) is not None
    (path,) = (tmp_path / "drain" / TABLE).iterdir()
    path.write_bytes(content)
    assert manifests.read(TABLE, commit_id) is None
    assert manifests.has(TABLE, commit_id)


@pytest.mark.parametrize(
    "stray",
    ["id-0", "id-", "notes.txt", "a table/0000000001-00000001.json", f"{TABLE}/9-9.json", f"{TABLE}/a-b.json",
     f"{TABLE}/9999999999-00000001.json", f"{TABLE}/0000000009-00000001.json/inside"],
)  # fmt: skip
def test_strangers_among_the_manifests_change_nothing(tmp_path: Path, stray: str) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    drain, commit_id = manifests.drain_id(), CommitId(manifests.drain_id(), 1, 5)
    manifests.write(TABLE, commit_id, Manifest((), ProcessedSegments()))
    path = tmp_path / "drain" / stray
    path.parent.mkdir(exist_ok=True)
    path.touch()
    (tmp_path / "drain" / "id-0000000000000000").mkdir()
    assert (manifests.drain_id(), manifests.tables(), manifests.last_counter(TABLE)) == (drain, [TABLE], 1)
    manifests.remove_before(TABLE, CommitId(drain, 10, 1))
    assert manifests.last_counter(TABLE) == 0
    assert path.exists()


def test_a_table_is_the_same_however_its_name_is_spelled(tmp_path: Path) -> None:
    prepare(tmp_path)
    manifests = Manifests(tmp_path)
    commit_id = CommitId.after(manifests.drain_id(), 0)
    manifests.write(f"spark_catalog.{TABLE}", commit_id, Manifest((), ProcessedSegments()))
    assert manifests.last_counter(TABLE.upper()) == 1
    assert manifests.read(TABLE, commit_id) is not None
    assert manifests.last_counter("ai_gateway.others") == 0


def test_ranges_are_joined_without_counting_through_them() -> None:
    long = ProcessedSegments({"w": [[0, 10**15]]})
    assert long.union(ProcessedSegments({"w": [[5, 10**15 + 1]]})).as_json() == {"w": [[0, 10**15 + 1]]}


@pytest.mark.parametrize("text", ["PR #12-fix", "x#\u00b2-1", "JIRA#7-urgent", "a#1--", "#1-00000001", "a#1-00000001 "])
def test_what_other_writers_say_of_their_commits_is_no_commit_id(text: str) -> None:
    assert CommitId.of_text(text) is None


def test_a_commit_id_is_read_from_its_text() -> None:
    made = CommitId.after("gateway_batch-1-a.usage", 11)
    assert CommitId.of_text(made.text) == made


def test_a_commit_takes_a_segment_once_that_is_there_as_a_copy_too(tmp_path: Path) -> None:
    prepare(tmp_path)
    content = header("host-1-0badcafe")
    placed = [(0, False), (0, True), (1, False)]
    names = [SegmentName("host-1-0badcafe", f"{n:06d}", 1, len(content), copied) for n, copied in placed]
    for name in names:
        (sealed_dir(tmp_path) / str(name)).write_bytes(content)
    drain = UsageDrain(cast(Any, None), tmp_path, "a.usage")
    segments, _ = drain._next_segments(Manifest())
    assert [(name.writer, name.place) for _, name in segments] == [("host-1-0badcafe", 0), ("host-1-0badcafe", 1)]
    committed = Manifest(processed=ProcessedSegments().adding(name for _, name in segments))
    assert drain._next_segments(committed)[0] == []
    assert list(sealed_dir(tmp_path).iterdir()) == []
