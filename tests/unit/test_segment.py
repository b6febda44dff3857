from __future__ import annotations

import zlib
from pathlib import Path

import orjson
import pytest

from gateway_batch.usage.record import UsageRecord, columns
from gateway_batch.usage.segment import Kind, as_outcome, encode, event_id, header, line_of, read_lines

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
