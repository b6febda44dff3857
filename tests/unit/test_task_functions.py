"""What the task functions ask for, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.ai_functions import TASKS
from gateway_batch.spark.calls.instructions import Asked
from gateway_batch.spark.calls.signature import Constants, constant_of

TWO = ["a", "b"]


def ask(function: str, **constants: Any) -> Asked:
    task = next(task for task in TASKS if task.name == function)
    return task.ask(Constants(function, {name: constant_of(value) for name, value in constants.items()}))


@pytest.mark.parametrize(
    ("function", "constants", "error"),
    [
        ("ai_summarize", {"max_words": -1}, r"^\[AI_FUNCTION_INVALID_MAX_WORDS\].*but got -1"),
        (
            "ai_summarize",
            {"max_words": "ten"},
            r"^\[DATATYPE_MISMATCH\.UNEXPECTED_INPUT_TYPE\].*max_words.* must be INT",
        ),
        ("ai_translate", {"to_lang": "tlh"}, r"^\[INVALID_PARAMETER_VALUE\].*de, en, es, fr, hi, it, pt, th"),
        ("ai_mask", {"labels": []}, r"^\[INVALID_PARAMETER_VALUE\].*non-empty array of strings"),
        ("ai_mask", {"labels": "email"}, r"^\[INVALID_PARAMETER_VALUE\].*non-empty array of strings"),
        ("ai_classify", {"labels": ["one"]}, r"^\[INVALID_PARAMETER_VALUE\].*2 to 20 different labels, but got 1"),
        ("ai_classify", {"labels": "[broken"}, r"^\[INVALID_PARAMETER_VALUE\].*expects JSON"),
        ("ai_classify", {"labels": '["a", ""]'}, r"^\[INVALID_PARAMETER_VALUE\].*1 to 100 characters"),
        ("ai_classify", {"labels": '["a", "b"]', "options": {"colour": "red"}}, r"no option 'colour'"),
        ("ai_classify", {"labels": '["a", "b"]', "options": {"version": "3"}}, r"1\.0 or 2\.0 or 2\.1"),
        (
            "ai_classify",
            {"labels": TWO, "options": {"enableRationales": "true"}},
            r"Rationales needs version 2\.1",
        ),
        ("ai_classify", {"labels": TWO, "options": {"multilabel": "true"}}, r"multilabel needs version 2\.0"),
        ("ai_classify", {"labels": '["a", "b"]', "options": {"multilabel": "yes"}}, r"must be true or false"),
        ("ai_classify", {"labels": '["\\ud800a", "b"]'}, r"half of a surrogate pair"),
        ("ai_classify", {"labels": '{"a": "\\ud800", "b": null}'}, r"half of a surrogate pair"),
        ("ai_classify", {"labels": "[" * 9_000}, r"expects JSON"),
        ("ai_extract", {"schema": '{"a": {"type": "money"}}'}, r"^\[INVALID_PARAMETER_VALUE\].*'a' no type"),
        ("ai_extract", {"schema": ["a"], "options": {"mode": "recall"}}, r"mode must be precision, but got 'recall'"),
        ("ai_extract", {"schema": "person"}, r"^\[INVALID_PARAMETER_VALUE\].*expects JSON"),
    ],
)
def test_a_wrong_option_is_refused(function: str, constants: dict[str, Any], error: str) -> None:
    with pytest.raises(AiFunctionError, match=error):
        ask(function, **constants)
