from __future__ import annotations

from typing import Any

import pytest

from gateway_batch.spark.calls.ai_functions import TASKS, TaskFunction
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import Constants, constant_of

ARGUMENTS: dict[str, dict[str, Any]] = {
    "ai_classify": {"labels": ["a", "b"]},
    "ai_decide": {
        "questions": '{"q": {"type": "choice", "instructions": "Which?", "criteria": {"a": null, "b": null}}}'
    },
    "ai_extract": {"schema": ["a", "b"]},
    "ai_mask": {"labels": ["a", "b"]},
    "ai_translate": {"to_lang": "de"},
}
UNBOUNDED = {"ai_gen", "ai_similarity"}


@pytest.mark.parametrize("task", [task for task in TASKS if task.name not in UNBOUNDED], ids=lambda task: task.name)
def test_the_answer_of_a_task_function_is_bounded(task: TaskFunction) -> None:
    given = Constants(task.name, {n: constant_of(v) for n, v in ARGUMENTS.get(task.name, {}).items()})
    asked = task.ask(given)
    assert asked.bound is not None
    tokens = asked.bound.tokens(100, "smollm2")
    assert tokens is not None
    assert 64 <= tokens <= 1024


@pytest.mark.parametrize(
    ("characters", "model", "tokens"),
    [
        (0, "databricks-claude-sonnet-4-5", 100),
        (500, "databricks-meta-llama-3-3-70b-instruct", 1100),
        (500, "databricks-gpt-5-4", 1100 + 16_384),
        (500, "gemini-2.5-pro", 1100 + 16_384),
        (500, "databricks-gpt-oss-120b", None),
        (50_000, "gpt-4o", None),
    ],
)
def test_a_bound_leaves_room_for_thoughts_and_for_long_texts(characters: int, model: str, tokens: int | None) -> None:
    assert OutputBound(100, 2).tokens(characters, model) == tokens
