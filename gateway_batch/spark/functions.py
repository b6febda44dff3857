"""`ai_query` and the task functions as Columns: `from gateway_batch import functions`, or `gb.functions`.

Arguments have the names that they have in SQL. As in `pyspark.sql.functions`, a str for an argument that depends on
data (`request`, `content`, `files`, `when`, ...) is a column's name; the others are Python values. A call belongs to
the newest open registration of the active session, or to the one that `registration` names.

With `failOnError=False` a call gives a STRUCT of `result` and `errorMessage`, and a failed row fails no query; a result
that has room for the row's error, as a VARIANT has, stays as it is.

All functions raise RuntimeError where nothing is registered, and ConfigError where `registration` is not. A wrong
argument is an AiFunctionError here or, in a classic session, Spark's IllegalArgumentException with the same text when
the Column is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.ai_functions import TASKS
from gateway_batch.spark.calls.signature import mismatch
from gateway_batch.spark.gateway import registration_of
from gateway_batch.spark.worker.partition import FUNCTION

__all__ = [
    "ai_analyze_sentiment",
    "ai_classify",
    "ai_decide",
    "ai_extract",
    "ai_fix_grammar",
    "ai_gen",
    "ai_mask",
    "ai_query",
    "ai_similarity",
    "ai_summarize",
    "ai_translate",
]

Data = Column | str
Options = Mapping[str, str | bool]

_TASKS = {task.name: task for task in TASKS}


def ai_query(
    endpoint: str,
    request: Data,
    returnType: str | t.DataType | None = None,
    failOnError: bool = True,
    modelParameters: Mapping[str, Any] | None = None,
    responseFormat: str | None = None,
    files: Data | None = None,
    requestTags: Mapping[str, str | Column] | Column | None = None,
    api: str | None = None,
    when: Data | bool | None = None,
    details: bool = False,
    systemPrompt: str | None = None,
    *,
    registration: str | None = None,
) -> Column:
    """A model's answer to each row's request.

    Args:
        endpoint: an entry of `endpoints`, else a model service of `host`.
        request: the prompt, the text to embed, or a STRUCT for a custom model; NULL sends nothing and gives NULL.
        returnType: what an answer is read as, as DDL or a type; None: STRING, for embeddings ARRAY<FLOAT>.
        failOnError: False gives a STRUCT of `result` and `errorMessage`.
        modelParameters: by name, such as `{"temperature": 0.1}`.
        responseFormat: `text`, `json_object`, JSON with a `type`, or DDL of a STRUCT in a STRUCT.
        files: what goes with the prompts, BINARY: JPEG, PNG, GIF or WebP images or PDF files, as the API takes them.
        requestTags: for the usage table, over the setting `request_tags`; a dict, or a MAP that may differ per row.
        api: the wire format, by the usage table's `api_type` words.
        when: a row where it is not true gets NULL and sends nothing.
        details: whether the STRUCT that `failOnError=False` gives has, after `errorMessage`, what is known of the call:
            `errorClass`, `errorKind`, `eventId` (the usage table's `invocation_id`), `model`, `inputTokens`,
            `outputTokens`, `cacheReadInputTokens`, `cacheCreationInputTokens`, `reasoningTokens` (part of
            `outputTokens`), `finishReason` (in the provider's word: `stop`, `max_tokens`); NULL what is not known, as
            with embeddings.
        systemPrompt: what stands before each prompt as the system's word.
        registration: the name that was given to `register_ai_query`.
    """
    gateway = registration_of(FUNCTION, registration)
    data = {"request": _data(FUNCTION, "request", request)}
    if files is not None:
        data["files"] = _data(FUNCTION, "files", files)
    if requestTags is not None:
        data["requestTags"] = _tags(requestTags)
    if when is not None:
        data["when"] = F.lit(when) if isinstance(when, bool) else _data(FUNCTION, "when", when)
    constants = {
        "endpoint": endpoint,
        "returnType": ddl_of(returnType) if isinstance(returnType, t.DataType) else returnType,
        "failOnError": failOnError,
        "modelParameters": _parameters(modelParameters),
        "responseFormat": responseFormat,
        "api": api,
        "details": details or None,
        "systemPrompt": systemPrompt,
    }
    return gateway.column(None, data, _given(FUNCTION, constants))


def ai_analyze_sentiment(content: Data, *, failOnError: bool = True, registration: str | None = None) -> Column:
    """`positive`, `negative`, `neutral` or `mixed`, or NULL where the model answers something else."""
    return _task("ai_analyze_sentiment", {"content": content}, {"failOnError": failOnError}, registration)


def ai_classify(
    content: Data,
    labels: Sequence[str] | Mapping[str, str] | str | Column,
    options: Options | None = None,
    *,
    failOnError: bool | None = None,
    registration: str | None = None,
) -> Column:
    """The label that fits.

    Args:
        content: the text; in a classic session a VARIANT, too.
        labels: a list gives one label, a STRING, NULL where none of them fits; a dict from label to
            description, or JSON text of a list or an object, gives a VARIANT with `response` and `error_message`. A
            Column of either differs from row to row; on Spark Connect one of JSON text needs the version 2.0.
        options: `version`, `instructions`, `multilabel`; with version 2.1, which gives objects with `value`, also
            `enableConfidenceScores` and `enableRationales`. A `confidence_score` is the probability of the label's
            tokens where the endpoint's chat completions give log-probabilities, else what the model states; `metadata`
            says which.
        failOnError: as in `ai_query`; None: True where a STRING is given, False where a VARIANT is.
        registration: the name that was given to `register_ai_query`.
    """
    data, constants = {"content": content}, {"options": _options(options), "failOnError": failOnError}
    if isinstance(labels, Column):
        return _task("ai_classify", {**data, "labels": labels}, constants, registration)
    given = json.dumps(dict(labels)) if isinstance(labels, Mapping) else _listed(labels)
    return _task("ai_classify", data, {"labels": given, **constants}, registration)


def ai_decide(
    state: Data,
    questions: Mapping[str, Mapping[str, Any]] | str,
    options: Options | None = None,
    *,
    failOnError: bool = False,
    registration: str | None = None,
) -> Column:
    """Answers to questions about a state, a VARIANT with `response`, its `answers` by their ids, and `error_message`.

    Args:
        state: the text that the questions are about, JSON perhaps; in a classic session a VARIANT, too.
        questions: a dict from id to question, or JSON text of one. Each has `type` and `instructions`. `choice` has
            `criteria`, a dict from option to description or None, and gives `choice`, `probabilities` and `confidence`;
            `noul` may have descriptions of `true` and `false`, and gives `probability`; `score` has a list of 2 to 10
            levels, and gives `score`, which may fall between two, `probabilities`, `legend` and `confidence`.
            Probabilities are what the model states, made to add up to 1.
        options: `version`, 1.0.
        failOnError: whether a failed row fails the query, which has its error in the VARIANT otherwise.
        registration: the name that was given to `register_ai_query`.
    """
    given = questions if isinstance(questions, str) else json.dumps(dict(questions))
    constants = {"questions": given, "options": _options(options), "failOnError": failOnError}
    return _task("ai_decide", {"state": state}, constants, registration)


def ai_extract(
    content: Data,
    schema: Sequence[str] | Mapping[str, Any] | str,
    options: Options | None = None,
    *,
    failOnError: bool = False,
    registration: str | None = None,
) -> Column:
    """The fields that a text has, a VARIANT with `response` and `error_message`.

    Args:
        content: the text; in a classic session a VARIANT, too.
        schema: a list of names, a dict from name to `{"type": ..., "description": ...}`, or JSON text of either.
        options: `version`, `instructions`, `mode`, `enableCitations`, `enableConfidenceScores` (scores as in
            `ai_classify`). With version 2.1 the VARIANT has `metadata`.
        failOnError: whether a failed row fails the query, which has its error in the VARIANT otherwise.
        registration: the name that was given to `register_ai_query`.
    """
    given = (
        schema if isinstance(schema, str) else json.dumps(dict(schema) if isinstance(schema, Mapping) else [*schema])
    )
    constants = {"schema": given, "options": _options(options), "failOnError": failOnError}
    return _task("ai_extract", {"content": content}, constants, registration)


def ai_fix_grammar(content: Data, *, failOnError: bool = True, registration: str | None = None) -> Column:
    """The text with its grammar mended."""
    return _task("ai_fix_grammar", {"content": content}, {"failOnError": failOnError}, registration)


def ai_gen(prompt: Data, *, failOnError: bool = True, registration: str | None = None) -> Column:
    """A model's answer to a prompt."""
    return _task("ai_gen", {"prompt": prompt}, {"failOnError": failOnError}, registration)


def ai_mask(
    content: Data, labels: Sequence[str], *, failOnError: bool = True, registration: str | None = None
) -> Column:
    """The text with `[MASKED]` for what the labels name, such as `person` or `email`."""
    return _task("ai_mask", {"content": content}, {"labels": _listed(labels), "failOnError": failOnError}, registration)


def ai_similarity(expr1: Data, expr2: Data, *, failOnError: bool = True, registration: str | None = None) -> Column:
    """How near two texts are in meaning, a FLOAT from 0 to 1."""
    return _task("ai_similarity", {"expr1": expr1, "expr2": expr2}, {"failOnError": failOnError}, registration)


def ai_summarize(
    content: Data, max_words: int | None = None, *, failOnError: bool = True, registration: str | None = None
) -> Column:
    """A summary of at most that many words: 50 if it isn't given, any number if it is 0."""
    return _task(
        "ai_summarize", {"content": content}, {"max_words": max_words, "failOnError": failOnError}, registration
    )


def ai_translate(content: Data, to_lang: str, *, failOnError: bool = True, registration: str | None = None) -> Column:
    """The text in another language, by its code: `de`, `en`, `es`, `fr`, `hi`, `it`, `pt`, `th`."""
    return _task("ai_translate", {"content": content}, {"to_lang": to_lang, "failOnError": failOnError}, registration)


def ddl_of(data_type: t.DataType) -> str:
    """A type as DDL, the names of its fields quoted."""
    match data_type:
        case t.ArrayType():
            return f"ARRAY<{ddl_of(data_type.elementType)}>"
        case t.MapType():
            return f"MAP<{ddl_of(data_type.keyType)}, {ddl_of(data_type.valueType)}>"
        case t.StructType():
            fields = (f"`{field.name.replace('`', '``')}`: {ddl_of(field.dataType)}" for field in data_type.fields)
            return f"STRUCT<{', '.join(fields)}>"
    return data_type.simpleString().upper()


def _task(function: str, data: Mapping[str, Data], constants: Mapping[str, Any], registration: str | None) -> Column:
    gateway = registration_of(function, registration)
    columns = {name: _data(function, name, value) for name, value in data.items()}
    return gateway.column(_TASKS[function], columns, _given(function, constants))


def _given(function: str, constants: Mapping[str, Any]) -> dict[str, Any]:
    """The constants without those that are not given."""
    for name, value in constants.items():
        if isinstance(value, Column):
            raise AiFunctionError(
                "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
                f"The argument {name} of {function} must be a constant: give a Python value, not a Column.",
            )
    return {name: value for name, value in constants.items() if value is not None}


def _data(function: str, name: str, value: Any) -> Column:
    if isinstance(value, Column):
        return value
    if isinstance(value, str):
        return F.col(value)
    raise mismatch(function, name, "a Column or the name of one", type(value).__name__)


def _tags(tags: Mapping[str, str | Column] | Column) -> Column:
    if isinstance(tags, Column):
        return tags
    if not isinstance(tags, Mapping):
        raise mismatch(FUNCTION, "requestTags", "a dict or a MAP column", type(tags).__name__)
    if not tags:
        return F.lit(None)
    return F.create_map(*(F.lit(part) for item in tags.items() for part in item))


def _listed(names: Any) -> Any:
    """A list, whatever kind of sequence it was; a str, and what is none, as it is."""
    return [*names] if isinstance(names, Sequence) and not isinstance(names, str) else names


def _parameters(parameters: Any) -> Any:
    return dict(parameters) or None if isinstance(parameters, Mapping) else parameters


def _options(options: Any) -> Any:
    """Options as SQL has them, text to text."""
    if not isinstance(options, Mapping):
        return options
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()} or None
