from __future__ import annotations

import os
import zlib
from pathlib import Path

import orjson
import pytest

from gateway_batch.usage import segment
from gateway_batch.usage.record import UsageRecord, columns
from gateway_batch.usage.segment import (
    FORMAT_VERSION,
    Kind,
    Origin,
    as_outcome,
    encode,
    event_id,
    format_of,
    header,
    line_of,
    read_all_lines,
    read_lines,
    read_lines_of,
)
from gateway_batch.usage.segment_names import writer_name

from .samples import record


def read(tmp_path: Path, content: bytes) -> list[tuple[Kind, bytes]]:
    path = tmp_path / "segment.log"
    path.write_bytes(content)
    return list(read_lines(path))


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    payloads = [header("w-1"), encode(Kind.INTENT, record("e-1")), encode(Kind.OUTCOME, record("e-2"))]
    lines = [*payloads, line_of(Kind.TASK, {"rows": 3})]
    assert read(tmp_path, b"".join(lines)) == list(zip(Kind, lines, strict=True))


def test_a_record_is_on_its_line_with_all_columns_that_are_not_null() -> None:
    whole = record("e-1")
    payload = orjson.loads(encode(Kind.INTENT, whole)[11:])
    assert set(payload) == {name for name, _ in columns(UsageRecord) if getattr(whole, name) is not None}
    assert payload["event_time"] == "2023-11-14T22:13:20.250000Z"
    assert payload["client_metadata"]["event_id"] == "e-1"


def test_the_header_names_the_format_and_the_writer() -> None:
    assert orjson.loads(header("w-1")[11:]) == {"format": 1, "writer": "w-1"}


def test_a_segment_that_names_its_table_is_of_a_format_that_version_0_1_leaves_alone(tmp_path: Path) -> None:
    """Its drain takes what it calls format 1, for whichever table it drains."""
    content = header("w-1", Origin("a.usage"))
    assert orjson.loads(content[11:]) == {"format": 2, "writer": "w-1", "table": "a.usage"}
    assert orjson.loads(header(writer_name("a.usage"))[11:])["format"] == 2
    (tmp_path / "segment.log").write_bytes(content)
    assert format_of(tmp_path / "segment.log") == 2 <= FORMAT_VERSION


def test_a_line_that_is_longer_than_any_record_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "_LONGEST_LINE", 1 << 12)
    good = encode(Kind.INTENT, record("e-1"))
    path = tmp_path / "segment.log"
    path.write_bytes(good + b"\0" * (1 << 14))
    pieces = [line for _, line in read_all_lines(path)]
    assert pieces[0] == good
    assert max(map(len, pieces)) == 1 << 12
    assert [kind for kind, _ in read_lines(path)] == [Kind.INTENT]
    assert list(read_lines_of(Kind.INTENT, path)) == [good]


@pytest.mark.parametrize("after", [b"", b"\n"])
def test_a_hole_of_any_size_is_passed_over(tmp_path: Path, after: bytes) -> None:
    lines = [encode(Kind.INTENT, record(name)) for name in ("e-1", "e-2")]
    path = tmp_path / "segment.log"
    path.write_bytes(lines[0])
    os.truncate(path, 64 << 30)
    if after:
        with path.open("ab") as file:
            file.write(after + lines[1])
    assert [line for _, line in read_lines(path)] == lines[: 1 + len(after)]


def test_an_intent_becomes_the_outcome_of_the_same_record(tmp_path: Path) -> None:
    intent = encode(Kind.INTENT, record("e-1"))
    outcome = as_outcome(intent)
    assert read(tmp_path, outcome) == [(Kind.OUTCOME, outcome)]
    assert outcome[11:] == intent[11:]
    assert event_id(outcome) == event_id(intent) == "e-1"


def test_a_newline_in_a_value_does_not_end_the_line(tmp_path: Path) -> None:
    odd = record("e-1")
    odd.request_tags = {"a\nb": "\u2028\r\x00"}
    line = encode(Kind.INTENT, odd)
    assert read(tmp_path, line) == [(Kind.INTENT, line)]


@pytest.mark.parametrize(
    "damaged",
    [b"\n", b"x\n", b"00000000 \n", b"zzzzzzzz I {}xxx\n", b"\xff" * 40 + b"\n", b"I {}" * 9, b"\0" * 64],
)
def test_what_is_no_line_is_passed_over(tmp_path: Path, damaged: bytes) -> None:
    good = encode(Kind.INTENT, record("e-1"))
    assert read(tmp_path, good + damaged) == [(Kind.INTENT, good)]


def test_a_line_of_a_kind_that_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    body = b"Z {}       "
    assert read(tmp_path, b"%08x %b\n" % (zlib.crc32(body), body)) == []


@pytest.mark.parametrize("sign", [b" ", b"+"])
def test_a_checksum_is_eight_digits_and_nothing_else(tmp_path: Path, sign: bytes) -> None:
    """What Python would read as a number and Spark would not: the drain must count as its reader does."""
    lines = (encode(Kind.OUTCOME, record(f"e-{n}")) for n in range(1000))
    line = next(line for line in lines if line.startswith(b"0"))
    assert read(tmp_path, sign + line[1:]) == []
