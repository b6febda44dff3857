from __future__ import annotations

from pathlib import Path

import pytest

from gateway_batch.spark.json_input import json_fault


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[\n {"id": 1},\n {"id": 2}\n]\n', None),
        ('{\n "id": 1\n}', None),
        ('{"id": 1}\n\n{"id": secret}\n', "line 3 is no JSON: unexpected character"),
        ('{"id": 1}\n[1]\n', "line 2 is no JSON object"),
        ('[{"id": 1}, 2]', "element 2 is no JSON object"),
        ('{"id": 1}\n{"id":\n', "line 2 is no JSON"),
        ("{'id': 1}\n{\"id\": 1}", "line 1 is no JSON"),
    ],
)
def test_the_first_line_that_cant_be_read_is_named(tmp_path: Path, content: str, fault: str | None) -> None:
    path = tmp_path / "in.json"
    path.write_text(content)
    found = json_fault(path)
    assert (found is None) is (fault is None)
    assert found is None or (found.startswith(str(fault)) and "secret" not in found)
