"""What is wrong with a file of JSON that Spark can't read."""

from __future__ import annotations

from pathlib import Path

import orjson


def json_fault(path: Path) -> str | None:
    """The first line that is no JSON object; None if the file is one document of an object or a list of them."""
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return _first_fault(path)
    objects = document if isinstance(document, list) else [document]
    place = next((place for place, each in enumerate(objects, 1) if not isinstance(each, dict)), None)
    return None if place is None else f"element {place} is no JSON object"


def _first_fault(path: Path) -> str:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                is_object = isinstance(orjson.loads(line), dict)
            except orjson.JSONDecodeError as error:
                return f"line {number} is no JSON: {error.msg}, at character {error.pos + 1}"
            if not is_object:
                return f"line {number} is no JSON object"
    return "there is a line that is no JSON object"
