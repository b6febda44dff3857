"""From the Arrow columns that Spark hands over to a batch's requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

import orjson
import pyarrow as pa
from pyspark.sql.types import _parse_datatype_json_string

from gateway_batch.apis import task_of
from gateway_batch.apis.files import NAMES, media_type_of
from gateway_batch.errors import AiFunctionError, CallError, ErrorKind
from gateway_batch.spark.calls.call_plan import CallPlan, Input, Shape
from gateway_batch.spark.calls.classification import Classifier
from gateway_batch.spark.calls.instructions import Asked
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import check_names
from gateway_batch.spark.sql_types.record_json import name_given_twice, without_nan
from gateway_batch.types import AnyRequest, EmbeddingRequest, File, InferenceRequest, RecordRequest, Task

RowRequest = AnyRequest | CallError | None


def request_reader(plan: CallPlan) -> Callable[[tuple[pa.Array, ...]], list[RowRequest]]:
    """A function from a batch's columns to its rows' requests.

    A row is None where its request, its condition, its file or its labels are NULL; it is an error where it can't be
    sent.
    """
    if plan.classifier is not None:
        return partial(_classified, _classification(plan, plan.classifier))
    make = _maker(plan)

    def row(request: Any, tags: Any, file: Any) -> RowRequest:
        for cell in (request, tags):
            if isinstance(cell, CallError):
                return cell
        return make(request, tags, file)

    def read(columns: tuple[pa.Array, ...]) -> list[RowRequest]:
        cells = {name: _cells(name, column) for name, column in zip(plan.inputs, columns, strict=True)}
        requests = cells[Input.REQUEST]
        if (condition := cells.get(Input.CONDITION)) is not None:
            requests = [request if true else None for request, true in zip(requests, condition, strict=True)]
        files, tags = cells.get(Input.FILES), cells.get(Input.TAGS)
        if files is None and tags is None:
            return [None if request is None else row(request, None, None) for request in requests]
        return [
            None
            if request is None or (files is not None and files[place] is None)
            else row(request, tags and tags[place], files and files[place])
            for place, request in enumerate(requests)
        ]

    return read


def _classified(make: Callable[[Any, Any], RowRequest], columns: tuple[pa.Array, ...]) -> list[RowRequest]:
    texts, labels = (_cells(name, column) for name, column in zip(("content", "labels"), columns, strict=True))
    rows = zip(texts, labels, strict=True)
    return [None if text is None or of_row is None else make(text, of_row) for text, of_row in rows]


def _cells(name: str, column: pa.Array) -> list[Any]:
    """A column's values; in the place of texts that are not UTF-8, which Spark doesn't look at, an error."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_cell(name, value) for value in column]
    return values


def _cell(name: str, value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        message = f"{name}: the text is not UTF-8 from byte {error.start} on; make_valid_utf8 replaces such bytes"
        return CallError(ErrorKind.BAD_REQUEST, message)


def _classification(plan: CallPlan, classifier: Classifier) -> Callable[[Any, Any], RowRequest]:
    """From a text and its labels to a request."""
    parameters: dict[str, Any] = orjson.loads(plan.parameters)
    tags = dict(plan.tags)

    @lru_cache(maxsize=100)
    def asked(labels: str | tuple[str, ...]) -> Asked | str:
        try:
            return classifier.asked(labels if isinstance(labels, str) else list(labels))
        except AiFunctionError as error:
            return error.message

    def make(text: Any, labels: Any) -> RowRequest:
        for cell in (text, labels):
            if isinstance(cell, CallError):
                return cell
        wanted = asked(labels if isinstance(labels, str) else tuple(labels))
        if isinstance(wanted, str):
            return CallError(ErrorKind.BAD_REQUEST, wanted)
        return InferenceRequest(
            text,
            _bounded(parameters, wanted.bound, text, plan.service.model),
            tags,
            wanted.instructions,
            wanted.response_format,
            optional=plan.optional,
        )

    return make


def _bounded(parameters: dict[str, Any], bound: OutputBound | None, text: str, model: str) -> dict[str, Any]:
    most = None if bound is None else bound.tokens(len(text), model)
    return parameters if most is None else {**parameters, "max_tokens": most}


def _maker(plan: CallPlan) -> Callable[[Any, Any, bytes | None], RowRequest]:
    parameters: dict[str, Any] = orjson.loads(plan.parameters)
    constant_tags = dict(plan.tags)
    record_type = None if plan.record_type is None else _parse_datatype_json_string(plan.record_type)

    def embedding(text: str, tags: Any, file: bytes | None) -> RowRequest:
        return EmbeddingRequest((text,), parameters, _row_tags(constant_tags, tags))

    def pair(texts: list[str | None], tags: Any, file: bytes | None) -> RowRequest:
        both = tuple(text for text in texts if text is not None)
        return EmbeddingRequest(both, parameters, constant_tags) if len(both) == len(texts) else None

    def chat(text: str, tags: Any, file: bytes | None) -> RowRequest:
        try:
            files = () if file is None else (_file(file),)
        except CallError as error:
            return error
        return InferenceRequest(
            text,
            _bounded(parameters, plan.bound, text, plan.service.model),
            _row_tags(constant_tags, tags),
            plan.instructions,
            plan.response_format,
            files,
            plan.optional,
        )

    first = True

    def record(json: str, tags: Any, file: bytes | None) -> RowRequest:
        nonlocal first
        if first:  # a client of Spark Connect doesn't know a Column's type, and has not looked
            check_names(plan.function, name_given_twice(json))
            first = False
        written = json if record_type is None else without_nan(json, record_type)
        return RecordRequest(orjson.Fragment(written), parameters, _row_tags(constant_tags, tags))

    if plan.shape is Shape.SIMILARITY:
        return pair
    makers = {Task.CHAT: chat, Task.EMBEDDINGS: embedding, Task.SCORING: record}
    return makers[task_of(plan.service.api)]


def _row_tags(constant: Mapping[str, str], row: Iterable[tuple[str, str | None]] | None) -> Mapping[str, str]:
    """The configuration's tags, overridden by the row's; a tag without a value is left out."""
    return {**constant, **{key: value for key, value in row if value is not None}} if row else constant


def _file(data: bytes) -> File:
    media_type = media_type_of(data)
    if media_type is None:
        known = ", ".join(NAMES.values())
        raise CallError(ErrorKind.BAD_REQUEST, f"files: {len(data):,} bytes that are none of {known}")
    return File(data, media_type)
