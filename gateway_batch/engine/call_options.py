"""What a call of `gb.Client` may say, and the checks of it: each fault is a ConfigError of one line."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import orjson

from gateway_batch.apis import api_for, prompt_cache
from gateway_batch.apis.parameters import ParameterFault, hint_for, mapped_parameters
from gateway_batch.errors import ConfigError
from gateway_batch.json_data.json_schemas import SchemaFault, validator_of
from gateway_batch.types import File, ResponseFormat, Service


class CallOptions(TypedDict, total=False):
    """Options of any call, besides its endpoint.

    Attributes:
        model_parameters: sent with the request, by the names of chat completions (`max_tokens`, `temperature`); None
            leaves one out.
        request_tags: merged over the setting's `request_tags`.
        api: the wire format, by the usage table's `api_type` words; None: the endpoint's own.
    """

    model_parameters: Mapping[str, Any] | None
    request_tags: Mapping[str, str] | None
    api: str | None


class QueryOptions(CallOptions, total=False):
    """Options of a chat model's call, besides endpoint and prompt.

    Attributes:
        instructions: what stands before the prompt as the system's word.
        response_format: the JSON to answer with; None for text. A text that is not it is an error of the kind
            `invalid_response`.
        files: pictures and documents that the prompt is about.
        images: an older name of `files`.
    """

    instructions: str | None
    response_format: ResponseFormat | None
    files: Sequence[File]
    images: Sequence[File]


class Progress(TypedDict, total=False):
    """How a call of many texts reports on its way.

    Attributes:
        progress: called with the number of texts answered or failed so far, and that of all; often, and on the
            client's own thread, so it must not wait. What it raises ends the call.
    """

    progress: Callable[[int, int], None] | None


class ManyQueryOptions(QueryOptions, Progress, total=False):
    """`QueryOptions` and `Progress`."""


class EmbedOptions(CallOptions, Progress, total=False):
    """`CallOptions` and `Progress`."""


def texts_of(texts: Iterable[str], name: str) -> list[str]:
    """A list of texts, each checked."""
    if isinstance(texts, str | bytes):
        raise ConfigError(f"{name}: must be a list of texts, not one {type(texts).__name__}")
    listed = list(texts)
    for place, text in enumerate(listed):
        check_text(text, name, place)
    return listed


def check_text(text: object, name: str, place: int | None = None) -> None:
    """Refuses what can't be sent as text; `place` is its own in a list."""
    where = name if place is None else f"{name}[{place}]"
    if not isinstance(text, str):
        raise ConfigError(f"{where}: must be text, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: holds half of a surrogate pair, which no request can carry") from None


def check_names(options: Mapping[str, object], known: type[CallOptions]) -> None:
    """Refuses arguments that there are not."""
    names = sorted(known.__annotations__)
    for name in options:
        if name not in names:
            raise ConfigError(
                f"{name}: no such argument; there are {', '.join(names)}, and the model's parameters go into "
                "model_parameters"
            )


def check_values(options: QueryOptions) -> None:
    """Refuses what a chat call can't say."""
    if (instructions := options.get("instructions")) is not None:
        check_text(instructions, "instructions")
    answer = options.get("response_format")
    if answer is not None:
        if not isinstance(answer, ResponseFormat):
            raise ConfigError(f"response_format: must be a ResponseFormat, not {type(answer).__name__}")
        _check_json(answer.schema, "response_format")
        if answer.schema is not None:
            try:
                validator_of(answer.schema)
            except SchemaFault as fault:
                raise ConfigError(f"response_format: the schema is none: {fault}") from None
    if options.get("images"):
        warnings.warn("images: the option is called files now", DeprecationWarning, stacklevel=4)
    files_of(options)


def files_of(options: QueryOptions) -> tuple[File, ...]:
    """The files that go with the prompts.

    Raises:
        ConfigError: they are none.
    """
    found: list[File] = []
    for name in ("files", "images"):
        files = options.get(name) or ()
        if not isinstance(files, Sequence) or not all(isinstance(file, File) for file in files):
            raise ConfigError(f"{name}: must be a list of File values")
        found += files
    return tuple(found)


def parameters_of(options: CallOptions, service: Service) -> dict[str, Any]:
    """The model parameters to send, checked against the API."""
    given = _mapping(options.get("model_parameters"), "model_parameters")
    parameters = {name: value for name, value in given.items() if value is not None}
    api = api_for(service.api)
    for name in parameters:
        if name in api.reserved:
            raise ConfigError(f"model_parameters: {name} is set by the call itself")
        if name in api.unsupported:
            hint = hint_for(name)
            raise ConfigError(f"model_parameters: {service.api} has no {name}{f'. {hint}' if hint else ''}")
    if prompt_cache.PARAMETER in parameters and not options.get("instructions"):
        raise ConfigError(f"model_parameters: {prompt_cache.NEEDS_SYSTEM_PROMPT}")
    _check_json(parameters, "model_parameters")
    if api.dialect is not None:
        try:
            mapped_parameters(parameters, api.dialect, service.model, service.url)
        except ParameterFault as fault:
            raise ConfigError(f"model_parameters: {fault}") from None
    return parameters


def tags_of(options: CallOptions, constant: Mapping[str, str]) -> dict[str, str]:
    """The settings' tags, overridden by the call's."""
    tags = _mapping(options.get("request_tags"), "request_tags")
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConfigError(f"request_tags: must map text to text, but {key!r} maps to {type(value).__name__}")
        check_text(key, "request_tags")
        check_text(value, "request_tags")
    return {**constant, **tags}


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: must be a dict, not {type(value).__name__}")
    return value


def _check_json(value: object, name: str) -> None:
    try:
        orjson.dumps(value)
        json.dumps(value, allow_nan=False, default=str)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: must be JSON values ({error})") from None
