"""Damage to a segment costs the line it hits and no other."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_batch.usage.sealed_segment import Damage, read_sealed
from gateway_batch.usage.segment import Kind, encode, header, read_lines
from gateway_batch.usage.spool import sealed_dir
from tests.unit.samples import answered, open_writer, outcomes, record, rows_of_lines

LINES = [
    header("w"),
    encode(Kind.INTENT, record("a")),
    encode(Kind.OUTCOME, answered("a")),
    encode(Kind.INTENT, record("b")),
]
WHOLE = b"".join(LINES)


def read(content: bytes) -> list[bytes]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return [line for _, line in read_lines(Path(file.name))]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_segment_cut_anywhere_has_its_whole_lines(at: int) -> None:
    whole, length = [], 0
    for line in LINES:
        length += len(line)
        if length <= at:
            whole.append(line)
    assert read(WHOLE[:at]) == whole


@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_byte_flipped_anywhere_costs_its_line_only(at: int, flip: int) -> None:
    flipped = bytes([WHOLE[at] ^ flip])
    left, start = [], 0
    lost_newline = False
    for line in LINES:
        end = start + len(line)
        hit = start <= at < end
        same_digit = at - start < 8 and flipped.lower() == WHOLE[at : at + 1]  # of the checksum, in the other case
        if not lost_newline and (not hit or same_digit):
            left.append(line[: at - start] + flipped + line[at - start + 1 :] if hit else line)
        lost_newline = hit and at == end - 1
        start = end
    assert read(WHOLE[:at] + flipped + WHOLE[at + 1 :]) == left


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(LINES) | st.binary(max_size=40).map(lambda garbage: garbage.replace(b"\n", b"") + b"\n"))
)
def test_lines_are_found_among_garbage(content: list[bytes]) -> None:
    assert read(b"".join(content)) == [line for line in content if line in LINES]


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sealed segments of one writer: three answers in the first, and one that moved on to the second with two."""
    spool = tmp_path_factory.mktemp("spool")
    with contextlib.closing(open_writer(spool)) as writer:
        for name in ("a", "b", "slow", "c"):
            writer.intend(record(name))
        for name in "abc":
            writer.settle(answered(name))
        writer.seal()
        writer.intend(record("d"))
        for name in ("slow", "d"):
            writer.settle(answered(name))
    return sorted(sealed_dir(spool).iterdir())


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_damage_costs_is_reported_and_nothing_has_two_rows(segments: list[Path], data: st.DataObject) -> None:
    contents = {path.name: path.read_bytes() for path in segments}
    for hit in data.draw(st.lists(st.sampled_from(sorted(contents)), min_size=1, max_size=3)):
        content = contents[hit]
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        if data.draw(st.booleans()):
            contents[hit] = content[:at]
        else:
            flipped = bytes([content[at] ^ data.draw(st.integers(1, 255))]) if content else b""
            contents[hit] = content[:at] + flipped + content[at + 1 :]
    damage: list[Damage] = []
    with tempfile.TemporaryDirectory() as folder:
        damaged = [sealed_dir(Path(folder)) / name for name in contents]
        sealed_dir(Path(folder)).mkdir()
        for path in damaged:
            path.write_bytes(contents[path.name])
        rows = outcomes(rows_of_lines(line for path in damaged for line in read_sealed(path, damage)))
    assert all(len(found) == 1 for found in rows.values())
    assert len(rows) == 5 - sum(each.lost - each.unknown for each in damage)
    assert sum(found == ["unknown"] for found in rows.values()) == sum(each.unknown for each in damage)
