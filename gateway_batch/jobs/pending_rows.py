"""The SQL of a batch job: which rows are to be answered, and what its tables have. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway_batch.figures import costs, tokens
from gateway_batch.figures.dialects import SPARK
from gateway_batch.jobs.template import quoted_column
from gateway_batch.spark.session.sql_text import literal
from gateway_batch.spark.sql_types import record_json
from gateway_batch.types import Price
from gateway_batch.usage.task_summary import TokenPrice

RESULT_COLUMNS = {
    "result": "The answer; NULL where the row failed, or had nothing to ask.",
    "error_class": "Class of the row's error, AI_FUNCTION_...; NULL where it has none.",
    "error_kind": "Why it failed, as in the usage table; does_not_fit where the answer is not of the type asked for.",
    "error_message": "The row's error, as ai_query reports it.",
    "is_retryable": "Whether the next run tries the row again.",
    "model": "The model that answered, as it names itself.",
    "input_tokens": "Tokens of the prompt, as reported or estimated; NULL where several rows share a request.",
    "output_tokens": "Tokens of the answer, likewise.",
    "reasoning_tokens": "Tokens of the answer that are reasoning, as reported; NULL where they are not.",
    "finish_reason": "Why the model stopped, in the provider's word: stop, length, max_tokens, SAFETY.",
    "cost_usd": "US dollars of both; NULL where tokens or price are not known.",
    "event_id": "invocation_id of the request in the usage table; that of its last attempt.",
    "request_hash": "Hash of all that was asked: a row whose hash is another now is asked again.",
    "answered_at": "When the row was answered.",
}
"""Columns of an output table besides its keys, with what they mean."""

NEWER_COLUMNS = frozenset({"reasoning_tokens", "finish_reason"})
"""Those that output tables of earlier versions lack."""

RETRYABLE = ("connect", "disconnect", "timeout", "deadline", "cancelled", "conflict", "rate_limit", "server", "budget",
             "not_json", "overloaded", "no_answer", "quota")  # fmt: skip
"""Kinds of errors that the next run tries again: they may pass by themselves."""

UNSENT = ("budget", "cancelled")
"""Kinds of errors of rows that sent nothing: they stay as they were."""

_HASHED = ("request", "files", "tags")
_EXACT_TIMES = ", ".join(literal(part) for option in record_json.TIMES.items() for part in option)


@dataclass(frozen=True, slots=True)
class RowInputs:
    """What a call takes from a row, as SQL over the source's columns.

    Attributes:
        request: the prompt, or the record of a custom model.
        files: an image; None for none.
        tags: request tags, a MAP; None for none.
        fingerprint: hash of the call's constants.
    """

    request: str
    files: str | None
    tags: str | None
    fingerprint: str

    @property
    def columns(self) -> dict[str, str]:
        """Those that there are, by name."""
        given = {"request": self.request, "files": self.files, "tags": self.tags}
        return {name: sql for name, sql in given.items() if sql is not None}


def fingerprint(constants: Mapping[str, Any]) -> str:
    """A hash of a call's constants."""
    return hashlib.sha256(json.dumps(constants, sort_keys=True).encode()).hexdigest()


def key_columns(keys: Sequence[str]) -> list[str]:
    """The columns of the output table that have the keys.

    They have the keys' names, `key_` before one that an answer's column has, and _ for backquotes, which Delta's MERGE
    doesn't bear.
    """
    answers, taken, columns = set(RESULT_COLUMNS), {key.lower() for key in keys}, list[str]()
    for key in keys:
        name = key.replace("`", "_")
        while name.lower() in answers or (name != key and name.lower() in taken):
            name = f"key_{name}"
        taken.add(name.lower())
        columns.append(name)
    return columns


def pending_keys(keys: Sequence[str]) -> list[str]:
    """The columns that have the keys among pending rows, whatever the keys are called."""
    return [f"key_{place}" for place in range(len(keys))]


def pending_sql(
    source: str,
    *,
    output: str | None,
    keys: Sequence[str],
    inputs: RowInputs,
    chunk_rows: int,
    retry_errors: bool = False,
    max_rows: int | None = None,
    sample: int | None = None,
) -> str:
    """The query for the rows to be answered: `pending_keys`, inputs, `request_hash`, and the number of their chunk.

    Args:
        source: a table or view, quoted.
        output: the output table, quoted; None: there is none yet.
        keys: names of key columns.
        inputs: what a call takes.
        chunk_rows: rows that have the same number, at most.
        retry_errors: whether failed rows are answered that would fail the same way.
        max_rows: at most.
        sample: number of distinct requests, with all their rows, chosen by their hashes: as good as at random.
    """
    named = pending_keys(keys)
    taken = [*named, *inputs.columns, "request_hash"]
    values = {**dict(zip(named, map(quoted_column, keys), strict=True)), **inputs.columns}
    asked = ", ".join(f"{sql} AS {name}" for name, sql in values.items())
    hashed = ", ".join("sha2(files, 256) AS files" if name == "files" else name for name in inputs.columns)
    as_json = f"to_json(struct({hashed}), map({_EXACT_TIMES}))"
    rows = (
        f"SELECT *, sha2(concat({literal(inputs.fingerprint)}, {as_json}), 256) AS request_hash\n"
        f"FROM (SELECT {asked} FROM {source})"
    )
    if output is not None:
        done = map(quoted_column, key_columns(keys))
        same_key = " AND ".join(f"asked.{key} <=> done.{column}" for key, column in zip(named, done, strict=True))
        failed = "done.error_class IS NOT NULL" if retry_errors else "done.is_retryable"
        rows = (
            f"SELECT {', '.join(f'asked.{name}' for name in taken)}\nFROM (\n{rows}\n) AS asked\n"
            f"LEFT JOIN {output} AS done ON {same_key}\n"
            f"WHERE NOT (asked.request_hash <=> done.request_hash) OR {failed}"
        )
    if sample is not None:
        first = f"SELECT DISTINCT request_hash FROM rows ORDER BY request_hash LIMIT {sample}"
        rows = f"WITH rows AS (\n{rows}\n)\nSELECT * FROM rows WHERE request_hash IN ({first})"
    limited = f"\nLIMIT {max_rows}" if max_rows is not None else ""
    numbered = f"CAST(monotonically_increasing_id() DIV {chunk_rows} AS BIGINT) AS chunk"
    return f"SELECT *, {numbered}\nFROM (\n{rows}{limited}\n)"


def counts_sql(pending: str, keys: Sequence[str]) -> str:
    """The query for each chunk's number and rows, and the most rows that one of its keys has: 1, or they are no keys.

    Args:
        pending: the table of the rows to be answered, quoted.
        keys: names of key columns.
    """
    by_key = f"SELECT min(chunk) AS chunk, count(*) AS rows FROM {pending} GROUP BY {', '.join(pending_keys(keys))}"
    return f"SELECT chunk, count(*) AS rows, max(rows) AS most\nFROM (\n{by_key}\n)\nGROUP BY chunk"


def repeated_sql(rows: str, keys: Sequence[str]) -> str:
    """The query for keys that several rows have, and for how many.

    Args:
        rows: a table or view, quoted.
        keys: its key columns, quoted.
    """
    listed = ", ".join(keys)
    return f"SELECT {listed}, count(*)\nFROM {rows}\nGROUP BY {listed}\nHAVING count(*) > 1"


def chunks_of(counts: Sequence[tuple[int, int]], chunk_rows: int) -> list[list[int]]:
    """Chunk numbers in groups that together have a limited number of rows, if not one number alone has more.

    Args:
        counts: number and rows of each.
        chunk_rows: the most rows of a group.
    """
    groups: list[list[int]] = []
    room = 0
    for number, rows in counts:
        if rows > room:
            groups.append([])
            room = chunk_rows
        groups[-1].append(number)
        room -= rows
    return groups


def answers_sql(keys: Sequence[str], answer: str, price: Price | None) -> list[str]:
    """The columns of the output table, as SQL over a row's `pending_keys`, `request_hash` and the call's answer.

    Args:
        keys: names of key columns.
        answer: the column of the call's answer with details.
        price: of the endpoint's tokens.
    """
    kinds = ", ".join(map(literal, RETRYABLE))
    columns = {
        "result": f"{answer}.result",
        "error_class": f"{answer}.errorClass",
        "error_kind": f"{answer}.errorKind",
        "error_message": f"{answer}.errorMessage",
        "is_retryable": f"coalesce({answer}.errorKind IN ({kinds}), false)",
        "model": f"{answer}.model",
        "input_tokens": f"{answer}.inputTokens",
        "output_tokens": f"{answer}.outputTokens",
        "reasoning_tokens": f"{answer}.reasoningTokens",
        "finish_reason": f"{answer}.finishReason",
        "cost_usd": _cost_sql(answer, price),
        "event_id": f"{answer}.eventId",
        "request_hash": "request_hash",
        "answered_at": "current_timestamp()",
    }
    named = zip(pending_keys(keys), map(quoted_column, key_columns(keys)), strict=True)
    return [
        *(f"{key} AS {column}" for key, column in named),
        *(f"{columns[name]} AS {name}" for name in RESULT_COLUMNS),
    ]


def _cost_sql(answer: str, price: Price | None) -> str:
    decimals = TokenPrice.of(price)
    prices = {} if decimals is None else costs.complete(vars(decimals))
    known = {name: _decimal(dollars) for name, dollars in prices.items() if dollars is not None}
    if not known or len(known) < len(prices):
        return "CAST(NULL AS DECIMAL(24, 12))"
    given, answered = f"{answer}.inputTokens", f"{answer}.outputTokens"
    read, created = f"{answer}.cacheReadInputTokens", f"{answer}.cacheCreationInputTokens"
    counts = {
        "plain_input_tokens": tokens.plain_input(given, read, created),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": created,
        "output_tokens": answered,
    }
    cost = costs.as_usd(" + ".join(costs.millionths_usd(SPARK, known, counts)))
    return f"CASE WHEN {tokens.has_tokens(given, answered)} THEN {cost} END"


def _decimal(dollars: Decimal) -> str:
    return f"CAST('{dollars:f}' AS DECIMAL(18, 6))"
