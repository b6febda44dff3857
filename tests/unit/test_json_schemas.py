from __future__ import annotations

from typing import Any

import pytest

from gateway_batch.json_data.json_schemas import SchemaFault, check_schema, ecma_pattern, ecma_schema, validator_of


@pytest.mark.parametrize(
    ("schema", "fits", "breaks"),
    [
        ({"multipleOf": 0.01}, [4.02, 19.99, 0.07, 1], [4.021]),
        ({"pattern": r"^[\w-\.]+@x$"}, ["a-b.c@x"], ["a b@x", "é@x"]),
        ({"pattern": r"^[\s\w-]+$"}, ["a - b"], ["a+b"]),
        ({"pattern": r"^[a-\d]+$"}, ["a-7"], ["b"]),
        ({"pattern": r"^\p{L}+$"}, ["é"], ["1"]),
        ({"pattern": r"^\d+$"}, ["12"], ["١٢"]),
        ({"pattern": "(a+)+$"}, ["a"], ["a" * 40 + "b"]),
        (
            {"$defs": {"n": {"pattern": r"^[\w-.]$"}}, "properties": {"a": {"$ref": "#/$defs/n"}}},
            [{"a": "-"}],
            [{"a": "+"}],
        ),
        ({"patternProperties": {r"^[\w-.]$": {"type": "string"}}}, [{"-": "x"}, {"+": 1}], [{"-": 1}]),
        ({"properties": {"pattern": {"type": "string"}}}, [{"pattern": "["}], [{"pattern": 1}]),
        ({"enum": [{"pattern": r"[\w-.]"}]}, [{"pattern": r"[\w-.]"}], [{"pattern": r"[\w\-.]"}]),
        ({"allOf": [{"$ref": "#"}]}, [1], []),
    ],
    ids=str,
)
def test_a_value_fits_or_breaks_a_schema(schema: dict[str, Any], fits: list[Any], breaks: list[Any]) -> None:
    validator = validator_of(schema)
    assert [validator.is_valid(value) for value in (*fits, *breaks)] == [True] * len(fits) + [False] * len(breaks)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "#/$defs/none"}, "/$defs/none"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}}, "nothing is fetched"),
        ({"$ref": "file:///etc/hostname"}, "nothing is fetched"),
        ({"type": "strin"}, "strin"),
        ({"pattern": "("}, "regex"),
        ({"properties": {"a": 1}}, "1 is not"),
    ],
    ids=str,
)
def test_a_schema_that_cant_be_meant_is_refused_in_a_line(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaFault) as caught:
        validator_of(schema)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_references_are_left_to_who_follows_them() -> None:
    check_schema({"$ref": "https://example.org/schema"})
    with pytest.raises(SchemaFault):
        check_schema({"type": 1})


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        (r"[\w-\.]", r"[\w\-\.]"),
        (r"[\d-x]", r"[\d\-x]"),
        (r"[+-\d]", r"[+\-\d]"),
        (r"[a-z-9]", "[a-z-9]"),
        (r"\w-\d", r"\w-\d"),
        (r"\[\w-\d", r"\[\w-\d"),
        (r"[^\w-]$|[x-z]", r"[^\w\-]$|[x-z]"),
    ],
)
def test_dashes_beside_a_class_are_dashes(pattern: str, same: str) -> None:
    assert ecma_pattern(pattern) == same
    assert ecma_schema([{"items": {"pattern": pattern}}]) == [{"items": {"pattern": same}}]
