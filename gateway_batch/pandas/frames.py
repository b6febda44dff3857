"""Answers as Series and DataFrames with the index of the texts asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from gateway_batch.errors import CallError
from gateway_batch.types import Answer

Row = Any
"""A value, an `Answer`, a `CallError`, or None where nothing was sent."""

_OF_ANSWERS: dict[str, tuple[str, Callable[[Answer[Any]], Any]]] = {
    "model": ("object", lambda answer: answer.model),
    "input_tokens": ("Int64", lambda answer: answer.tokens.input_tokens),
    "output_tokens": ("Int64", lambda answer: answer.tokens.output_tokens),
    "cache_read_input_tokens": ("Int64", lambda answer: answer.tokens.cache_read_tokens),
    "cache_creation_input_tokens": ("Int64", lambda answer: answer.tokens.cache_creation_tokens),
    "cost_usd": ("object", lambda answer: answer.cost_usd),
    "request_id": ("object", lambda answer: answer.request_id),
    "finish_reason": ("object", lambda answer: answer.finish_reason),
    "attempts": ("Int64", lambda answer: answer.attempts),
    "latency_ms": ("Int64", lambda answer: answer.latency_ms),
    "texts": ("Int64", lambda answer: answer.texts),
}


def as_pandas(
    rows: Sequence[Row], asked: pd.Series, *, result_type: Any, fail_on_error: bool, details: bool
) -> pd.Series | pd.DataFrame:
    """The rows as a Series, or as a frame where they have more than a result.

    Args:
        rows: one for each text asked.
        asked: has the index, and the name of a Series.
        result_type: of the results.
        fail_on_error: whether there is no error among the rows.
        details: whether answers have details.
    """

    def column(kind: Any, read: Callable[[Row], Any]) -> pd.Series:
        return pd.Series([read(row) for row in rows], index=asked.index, dtype=kind)

    results = column(result_type, _result)
    if fail_on_error and not details:
        return results.rename(asked.name)
    columns = {"result": results}
    if not fail_on_error:
        columns["error"] = column(object, _error)
    if details and not fail_on_error:
        columns["error_kind"] = column(object, lambda row: row.kind.value if isinstance(row, CallError) else None)
    if details:
        columns["event_id"] = column(object, lambda row: None if row is None else row.event_id)
        columns |= {name: column(kind, _of_answers(read)) for name, (kind, read) in _OF_ANSWERS.items()}
    return pd.DataFrame(columns)


def _result(row: Row) -> Any:
    if isinstance(row, CallError):
        return None
    return row.value if isinstance(row, Answer) else row


def _error(row: Row) -> str | None:
    return str(row) if isinstance(row, CallError) else None


def _of_answers(read: Callable[[Answer[Any]], Any]) -> Callable[[Row], Any]:
    return lambda row: read(row) if isinstance(row, Answer) else None
