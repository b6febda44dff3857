"""Model parameters in each chat format's own words, by the table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway_batch.apis.model_families import (
    has_output_effort,
    has_thinking_levels,
    output_ceiling,
    wants_completion_tokens,
)
from gateway_batch.apis.parameter_table import TABLE, Dialect, Parameter
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import JsonObject, Service

FALLBACK_MAX_TOKENS = 4096
"""What every Claude model may answer with; the ceiling of a model that is not known."""

_PARAMETERS = {name: parameter for parameter in TABLE for name in parameter.names}
_OBJECTS = {name.split(".")[0] for name in _PARAMETERS if "." in name}
_CHAT_LIMITS = ("max_tokens", "max_completion_tokens")
_THOUGHT_TOKENS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_TIERS = {
    Dialect.MESSAGES: {"auto": "auto", "default": "standard_only", "standard": "standard_only"},
    Dialect.GEMINI: {"default": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"},
    Dialect.CHAT: {"standard": "default", "standard_only": "default"},
    Dialect.RESPONSES: {"standard": "default", "standard_only": "default"},
}
_OWN_TIERS = {Dialect.MESSAGES: ("standard_only",), Dialect.GEMINI: ("standard", "unspecified")}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}


@dataclass(frozen=True, slots=True)
class _Mapped:
    """The last parameters of a service, what they were, and how they go out."""

    service: Service
    parameters: Mapping[str, Any]
    as_they_were: JsonObject
    members: JsonObject


_MOST_MAPPED = 64
_mapped: dict[tuple[Dialect, int], _Mapped] = {}


class ParameterFault(Exception):
    """A parameter that a format can't say.

    Attributes:
        name: the parameter, as it was given.
        why: what is wrong and what to do, a sentence without its end.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


def unsupported_names(dialect: Dialect) -> frozenset[str]:
    """The names, none of them in an object, of what a format has no place for.

    Chat completions take every name: many servers speak it, with parameters of their own.
    """
    if dialect is Dialect.CHAT:
        return frozenset()
    return frozenset(name for name, each in _PARAMETERS.items() if each.path(dialect) is None and "." not in name)


def hint_for(name: str) -> str | None:
    """What to do where a parameter is not supported; None for one that the table doesn't have."""
    return _PARAMETERS[name].hint if name in _PARAMETERS else None


def parameters_for_call(parameters: Mapping[str, Any], dialect: Dialect, service: Service) -> JsonObject:
    """As `mapped_parameters`, for a service; the rows of a call share one object of parameters, which is mapped once.

    Raises:
        CallError: of kind `bad_request`: a parameter can't be said. Nothing was sent.
    """
    known = _mapped.get((dialect, id(service)))
    if (
        known is not None
        and known.service is service
        and (known.parameters is parameters or not (known.parameters or parameters))
        and known.as_they_were == parameters
    ):
        return dict(known.members)
    try:
        members = mapped_parameters(parameters, dialect, service.model, service.url)
    except ParameterFault as fault:
        raise CallError(ErrorKind.BAD_REQUEST, f"model parameter {fault}") from None
    if len(_mapped) >= _MOST_MAPPED:
        _mapped.clear()
    _mapped[dialect, id(service)] = _Mapped(service, parameters, dict(parameters), members)
    return dict(members)


def mapped_parameters(parameters: Mapping[str, Any], dialect: Dialect, model: str = "", url: str = "") -> JsonObject:
    """The members of a request's body that say the parameters.

    Args:
        parameters: by any name of the table; others go out as they are (to Gemini: in `generationConfig`).
        dialect: the format.
        model: decides what differs between models.
        url: decides what differs between hosts.

    Raises:
        ParameterFault: the format has no such parameter or value, or one thing is given twice with different values.
    """
    body: JsonObject = {}
    given: dict[str, tuple[str, Any]] = {}
    for name, value in _flattened(parameters, dialect).items():
        parameter = _PARAMETERS.get(name)
        if parameter is None:
            _put(body, f"generationConfig.{name}" if dialect is Dialect.GEMINI else name, value)
            continue
        path = parameter.path(dialect)
        if path is None:
            if dialect is not Dialect.CHAT:
                raise ParameterFault(name, f"{dialect} has no such parameter. {parameter.hint}")
            path = name
        elif dialect is Dialect.CHAT and name in _CHAT_LIMITS:
            path = name
        value = _value(parameter, name, value, dialect)
        before, earlier = given.setdefault(parameter.name if path != "metadata.user_id" else path, (name, value))
        if earlier != value:
            raise ParameterFault(name, f"says the same as {before}, with another value. Give one of them")
        if before == name:
            _say(body, parameter, path, value, dialect, model)
    if dialect is Dialect.CHAT and "max_tokens" in body and _is_openai(url) and wants_completion_tokens(model):
        body["max_completion_tokens"] = body.pop("max_tokens")
    if dialect is Dialect.MESSAGES:
        _set_max_tokens(body, model)
    return body


def most_output(parameters: Mapping[str, Any]) -> int | None:
    """How many tokens an answer may have, by any name of the parameter; None where it isn't given."""
    inner = parameters.get("generationConfig")
    given = {**inner, **parameters} if isinstance(inner, Mapping) else parameters
    found = (given.get(name) for name in TABLE[0].names)
    return next((each for each in found if isinstance(each, int) and not isinstance(each, bool)), None)


def _flattened(parameters: Mapping[str, Any], dialect: Dialect) -> JsonObject:
    """Members of objects by their path, where the table knows them or the object is not the format's own."""
    found: JsonObject = {}
    if dialect is Dialect.GEMINI and isinstance(inner := parameters.get("generationConfig"), Mapping):
        parameters = {**inner, **{name: value for name, value in parameters.items() if name != "generationConfig"}}
    for name, value in parameters.items():
        if name not in _OBJECTS or not isinstance(value, Mapping):
            found[name] = value
        elif dialect is Dialect.CHAT:
            found[name] = dict(value)
            if (
                name == "reasoning"
                and "effort" in value
                and value["effort"] != parameters.get("reasoning_effort", value["effort"])
            ):
                raise ParameterFault(name, "says the same as reasoning_effort, with another value. Give one of them")
        else:
            _flatten_object(found, name, value, dialect)
    return found


def _flatten_object(found: JsonObject, name: str, value: Mapping[str, Any], dialect: Dialect) -> None:
    owns = {Dialect.RESPONSES: ("reasoning", "text"), Dialect.MESSAGES: ("thinking", "output_config")}
    for member, inner in value.items():
        path = f"{name}.{member}"
        if path == "thinking.type" and dialect is not Dialect.MESSAGES:
            if inner == "disabled":
                found["reasoning_effort"] = "none"
            continue
        if (
            path not in _PARAMETERS
            and name not in owns.get(dialect, ())
            and not (dialect is Dialect.GEMINI and name in ("thinkingConfig", "thinking_config"))
        ):
            raise ParameterFault(path, f"{dialect} has no such parameter. Leave it out")
        found[path.replace("thinking_config", "thinkingConfig") if path not in _PARAMETERS else path] = inner


def _value(parameter: Parameter, name: str, value: Any, dialect: Dialect) -> Any:
    match parameter.name:
        case "stop" if isinstance(value, str) and dialect is not Dialect.CHAT:
            return [value]
        case "reasoning_effort" if isinstance(value, str):
            return value.lower()
        case "service_tier" if isinstance(value, str):
            return _tier(name, value, dialect)
        case "cache_control" if not isinstance(value, Mapping):
            raise ParameterFault(name, "must be an object such as {'type': 'ephemeral'}")
    return value


def _tier(name: str, value: str, dialect: Dialect) -> str:
    tiers = _TIERS[dialect]
    if dialect in (Dialect.CHAT, Dialect.RESPONSES) or value in _OWN_TIERS[dialect]:
        return tiers.get(value, value)
    if value not in tiers:
        known = ", ".join(dict.fromkeys((*tiers, *_OWN_TIERS[dialect])))
        raise ParameterFault(name, f"{dialect} has no tier {value!r}; it has {known}")
    return tiers[value]


def _say(body: JsonObject, parameter: Parameter, path: str, value: Any, dialect: Dialect, model: str) -> None:
    if parameter.name == "reasoning_effort" and dialect is Dialect.MESSAGES:
        _say_effort_to_claude(body, value, model)
    elif parameter.name == "reasoning_effort" and dialect is Dialect.GEMINI:
        _say_effort_to_gemini(body, value, model)
    elif parameter.name == "thinking.budget_tokens" and dialect is Dialect.MESSAGES:
        _put(body, "thinking.type", "enabled")
        _put(body, path, value)
    elif parameter.name == "logprobs" and dialect is Dialect.GEMINI and not isinstance(value, bool):
        _put(body, "generationConfig.logprobs", value)  # Gemini's own: how many
    elif path == "metadata" and dialect is Dialect.MESSAGES:
        if not isinstance(value, Mapping) or not value.keys() <= {"user_id"}:
            raise ParameterFault("metadata", "Messages have only metadata.user_id. Use request tags")
        _put(body, path, {**value, **body.get("metadata", {})})
    else:
        _put(body, path, value)


def _say_effort_to_claude(body: JsonObject, effort: Any, model: str) -> None:
    if effort == "none":
        _put(body, "thinking.type", "disabled")
    elif has_output_effort(model):
        _put(body, "output_config.effort", "low" if effort == "minimal" else effort)
    elif effort in _THOUGHT_TOKENS:
        _put(body, "thinking.type", "enabled")
        body["thinking"].setdefault("budget_tokens", _THOUGHT_TOKENS[effort])
    else:
        known = ", ".join(("none", *_THOUGHT_TOKENS))
        raise ParameterFault("reasoning_effort", f"must be one of {known} for this model")


def _say_effort_to_gemini(body: JsonObject, effort: Any, model: str) -> None:
    if has_thinking_levels(model):
        if effort not in _LEVELS:
            raise ParameterFault("reasoning_effort", f"must be one of {', '.join(_LEVELS)} for this model")
        _put(body, "generationConfig.thinkingConfig.thinkingLevel", _LEVELS[effort])
        return
    budgets = {"none": 0, **_THOUGHT_TOKENS}
    if effort not in budgets:
        raise ParameterFault("reasoning_effort", f"must be one of {', '.join(budgets)} for this model")
    _put(body, "generationConfig.thinkingConfig.thinkingBudget", budgets[effort])


def _set_max_tokens(body: JsonObject, model: str) -> None:
    """Messages need `max_tokens`, more than the thoughts may take: they count into it."""
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    thoughts = budget if isinstance(budget, int) and not isinstance(budget, bool) else 0
    limit = body.get("max_tokens")
    if limit is None:
        ceiling = output_ceiling(model)
        limit = FALLBACK_MAX_TOKENS + thoughts if ceiling is None or ceiling <= thoughts else ceiling
    elif isinstance(limit, int) and limit <= thoughts:
        limit += thoughts
    body["max_tokens"] = limit


def _put(body: JsonObject, path: str, value: Any) -> None:
    *parents, last = path.split(".") if path.split(".")[0] in _ROOTS else [path]
    for parent in parents:
        inner = body.get(parent)
        body[parent] = dict(inner) if isinstance(inner, Mapping) else {}
        body = body[parent]
    body[last] = value


_ROOTS = _OBJECTS | {"generationConfig", "metadata"}


def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith((".openai.azure.com", ".services.ai.azure.com"))
