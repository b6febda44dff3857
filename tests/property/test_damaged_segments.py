"""Damage to a segment costs the line it hits and no other."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_batch.usage.segment import Kind, encode, header, read_lines
from tests.unit.samples import answered, record

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
