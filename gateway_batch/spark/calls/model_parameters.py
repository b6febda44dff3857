"""The `modelParameters` of `ai_query`, checked. Pure; no Spark in here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gateway_batch.apis import api_for
from gateway_batch.apis.parameter_table import TABLE
from gateway_batch.apis.parameters import ParameterFault, hint_for, mapped_parameters
from gateway_batch.errors import AiFunctionError, ai_function_error
from gateway_batch.types import Task

_NUMBERS: dict[str, tuple[tuple[type, ...], str, str, Callable[[Any], bool]]] = {
    "temperature": ((int, float), "DOUBLE", "at least 0", lambda x: x >= 0),
    "top_p": ((int, float), "DOUBLE", "between 0 and 1", lambda x: 0 <= x <= 1),
    "max_tokens": ((int,), "INT", "at least 1", lambda x: x >= 1),
}
_NUMBERS |= {
    name: _NUMBERS[parameter.name] for parameter in TABLE if parameter.name in _NUMBERS for name in parameter.names
}


def check_model_parameters(
    parameters: Any, endpoint: str, api_type: str, *, is_struct: bool = True, model: str = ""
) -> dict[str, Any]:
    """The model parameters to send.

    Args:
        parameters: as JSON has them.
        endpoint: for errors.
        api_type: decides which parameters exist.
        is_struct: False for a MAP, which looks the same as JSON.
        model: decides which values some parameters may have.

    Raises:
        AiFunctionError: of class AI_FUNCTION_INVALID_MODEL_PARAMETERS and a sub-condition of Databricks'.
    """
    if not is_struct or not isinstance(parameters, dict):
        raise _invalid(
            parameters,
            endpoint,
            "INVALID_PARAMETER_DATA_TYPE",
            f'The "modelParameters" parameter has invalid data type. Expected "STRUCT" data type but found '
            f"{_render(parameters)}. Build it with named_struct('temperature', 0.1).",
        )
    api = api_for(api_type)
    if api.task is Task.SCORING:
        raise _invalid(
            parameters,
            endpoint,
            "UNSUPPORTED_ENDPOINT_TYPE",
            "AI_QUERY function does not support the modelParameters argument for custom model endpoint.",
        )
    for name, value in parameters.items():
        if name in api.unsupported and value is not None:
            raise _unsupported(parameters, endpoint, name, hint_for(name))
        if name in api.reserved:
            raise _invalid(
                parameters,
                endpoint,
                "FOUND_RESERVED_PARAMETER_NAME",
                f'The "{name}" parameter should be specified in the "request" argument of AI_QUERY.',
            )
        _check_parameter(name, value, parameters, endpoint)
    found = {name: value for name, value in parameters.items() if value is not None}
    if api.dialect is not None:
        try:
            mapped_parameters(found, api.dialect, model)
        except ParameterFault as fault:
            raise _unsupported(parameters, endpoint, fault.name, fault.why) from None
    return found


def _check_parameter(name: str, value: Any, parameters: dict[str, Any], endpoint: str) -> None:
    if value is None:
        return
    if name in _NUMBERS:
        types, expected, constraint, holds = _NUMBERS[name]
        fits = isinstance(value, types) and not isinstance(value, bool)
        if fits and not holds(value):
            raise _invalid(
                parameters,
                endpoint,
                "INVALID_NUMERIC_PARAMETER",
                f'The "{name}" parameter must be {constraint} for the modelParameters argument of AI_QUERY.',
            )
    elif name == "stop":
        expected = "ARRAY<STRING>"
        fits = isinstance(value, list) and all(isinstance(text, str) for text in value)
    else:
        return
    if not fits:
        raise _invalid(
            parameters,
            endpoint,
            "INVALID_PARAMETER_DATA_TYPE",
            f'The "{name}" parameter has invalid data type. Expected "{expected}" data type but found '
            f"{_render(value)}.",
        )


def _unsupported(parameters: dict[str, Any], endpoint: str, name: str, why: str | None) -> AiFunctionError:
    said = f'The "{name}" parameter is not supported for the serving endpoint.'
    return _invalid(parameters, endpoint, "UNSUPPORTED_MODEL_PARAMETER", f"{said} {why}." if why else said)


def _invalid(parameters: Any, endpoint: str, condition: str, what: str) -> AiFunctionError:
    error_class = f"AI_FUNCTION_INVALID_MODEL_PARAMETERS.{condition}"
    return ai_function_error(error_class, parameters=_render(parameters), endpoint=endpoint, why=what)


def _render(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
