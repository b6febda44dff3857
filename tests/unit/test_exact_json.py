"""JSON with numbers that a float would change."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from gateway_batch.json_data import exact_json

PI = 3.141592653589793
LONG = Decimal("12345678901234567890.1230")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.50", 1.5),
        (str(PI), PI),
        (f"[{PI}, 1.50]", [PI, 1.5]),
        ("12345678901234567890.1230", LONG),
        ('{"a": [0.1, 0.10000000000000000555]}', {"a": [0.1, Decimal("0.10000000000000000555")]}),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("-9223372036854775808", -(2**63)),
        ('"12345678901234567890.1230"', "12345678901234567890.1230"),
        ("1e400", Decimal("1e400")),
        ("[-Infinity]", [Decimal("-Infinity")]),
        ("[1, {}]", [1, {}]),
    ],
)
@pytest.mark.parametrize("way", ["read", "kept"])
def test_numbers_are_what_they_were(text: str, value: Any, way: str) -> None:
    found = exact_json.loads(text.encode())
    again = exact_json.loads(exact_json.dumps(found).encode()) if way == "kept" else found
    assert again == value
    assert str(again) == str(value)


def test_nan_is_a_number() -> None:
    assert exact_json.loads(b"NaN").is_nan()
    assert exact_json.dumps(exact_json.loads(b'{"a": [NaN]}')) == '{"a": [NaN]}'


def test_texts_are_as_they_were() -> None:
    value = {"é\n": ['"', None, True, "\u2028"]}
    assert orjson.loads(exact_json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", [b"<html>", b"", b'"\\ud800"', b'["\xff"]', b'{"a": NaN', '"é"'.encode("utf-16"), b"[" * 9_999]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        exact_json.loads(text)


def test_what_python_cant_hold_is_no_fault_of_the_package() -> None:
    far = b'{"a": 1.5e-99999999999999999999, "b": 12345678901234567890}'
    assert exact_json.loads(far) == {"a": 0.0, "b": 12345678901234567890}
    deep = b"[" * 1_000 + b"12345678901234567890.5" + b"]" * 1_000
    assert exact_json.loads(deep)
    with pytest.raises(orjson.JSONDecodeError):
        exact_json.loads(b"[1e99999999999999999999]")


def test_a_number_that_a_double_keeps_is_a_float() -> None:
    assert str(exact_json.loads(b"[0.00000000000000000, 1.50000000000000000]")) == "[0.0, 1.5]"


def test_where_not_all_have_to_be_exact_only_those_too_large_are() -> None:
    assert exact_json.loads(b"[12345678901234567890.1230]", exact=False) == [1.2345678901234567e19]
    assert exact_json.loads(b"[1e400]", exact=False) == [Decimal("1e400")]
    lenient = exact_json.loads(b"[0.10000000000000000555, NaN]", exact=False)
    assert lenient[0] == 0.1
    assert isinstance(lenient[0], float)
