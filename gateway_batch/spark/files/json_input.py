"""Files of JSON whose lines Spark can't all read: what is wrong with them, and the objects of the others."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from gateway_batch.json_data import exact_json
from gateway_batch.spark.files.bad_input import Faults


def is_sound_document(path: Path, faults: Faults) -> bool:
    """Whether a file is one document, an object or a list of objects, and not lines of them.

    Raises:
        ConfigError: it is a list of something else, which isn't left out.
    """
    document = _document(path)
    if document is None:
        return False
    wrong = [place for place, each in enumerate(document, 1) if not isinstance(each, dict)]
    for place in wrong:
        faults.meet(f"{path}: element {place} is no JSON object")
    return not wrong


def objects_of(path: Path, faults: Faults) -> Iterator[bytes]:
    """The JSON of each object, of a document's or of the lines.

    Raises:
        ConfigError: a line is something else, which isn't left out.
    """
    document = _document(path)
    if document is None:
        yield from _objects_of_lines(path, faults)
    else:
        yield from (exact_json.dumps(each).encode() for each in document if isinstance(each, dict))


def _document(path: Path) -> list[Any] | None:
    """The elements of a file that is one document; None where its first line is an object, or it is no JSON."""
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"").removeprefix(BOM_UTF8)
    if _object_or_none(first) is not None or not first:
        return None
    try:
        document = exact_json.loads(path.read_bytes().removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, list) else [document]


def _objects_of_lines(path: Path, faults: Faults) -> Iterator[bytes]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix(BOM_UTF8).strip()
            if not text:
                continue
            try:
                is_object = isinstance(exact_json.loads(text, exact=False), dict)
            except orjson.JSONDecodeError as error:
                faults.meet(f"{path}: line {number} is no JSON: {error.msg}, at character {error.pos + 1}")
                continue
            if is_object:
                yield text
            else:
                faults.meet(f"{path}: line {number} is no JSON object")


def _object_or_none(line: bytes) -> dict[str, Any] | None:
    try:
        found = exact_json.loads(line, exact=False)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def decimals_of(files: Sequence[Path]) -> set[str]:
    """The columns of JSON files that have a number in them, however deep, which a DOUBLE would change."""
    found: set[str] = set()
    for file in files:
        with file.open("rb") as content:
            if any(exact_json.has_long_number(line) for line in content):
                for text in objects_of(file, Faults(skip=True)):
                    members = exact_json.loads(text) if exact_json.has_long_number(text) else {}
                    found |= {name for name, value in members.items() if _has_decimal(value)}
    return found


def _has_decimal(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_decimal, value.values()))
    return any(map(_has_decimal, value)) if isinstance(value, list) else isinstance(value, Decimal)
