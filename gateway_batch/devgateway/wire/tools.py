"""Tools that a request offers, and the one that it wants called: the answer is then that tool's arguments.

A model that may choose between words and a call answers in words, as a stand-in has no use for tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway_batch.devgateway.ask import Ask, JsonObject, JsonSchema
from gateway_batch.devgateway.models.labels import best_label
from gateway_batch.devgateway.refusals import invalid
from gateway_batch.devgateway.wire import fields

_NO_ARGUMENTS: JsonSchema = {"type": "object", "properties": {}, "additionalProperties": False}
_SAYS_MORE = frozenset(
    ("$ref", "allOf", "anyOf", "oneOf", "required", "additionalProperties", "patternProperties", "minProperties")
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that can be called.

    Attributes:
        name: its name.
        description: what the choice among several goes by, with the name.
        parameters: the JSON schema of its arguments, as it was sent; None for a function without any.
        where: the name of that schema's field, for errors.
    """

    name: str
    description: str
    parameters: Any
    where: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request says of its tools: that one has to be called.

    Attributes:
        names: of the tools to choose from; None for all that there are.
        named: whether the caller named one of them.
    """

    names: tuple[str, ...] | None = None
    named: bool = False


def with_tools(ask: Ask, sent: Sequence[Any], tools: Sequence[Tool], choice: Choice | None) -> Ask:
    """The request with its tools, and the call that it wants.

    Args:
        ask: the request without them.
        sent: the definitions, as they came.
        tools: the functions among them.
        choice: None if the model may answer in words.

    Raises:
        Refusal: 400, the schema of the arguments can't be one.
    """
    ask = replace(ask, tools=orjson.dumps(sent).decode() if sent else "")
    allowed = [tool for tool in tools if choice and (choice.names is None or tool.name in choice.names)]
    if choice is None or not allowed:
        return ask
    tool = _best(allowed, ask.question)
    return replace(ask, tool=tool.name, tool_named=choice.named, schema=_arguments(tool), stop=())


def functions(definitions: Iterable[JsonObject], *, schema: str, where: str) -> list[Tool]:
    """The tools that definitions with a name, a description and a schema are of; those of other kinds left out."""
    return [
        Tool(name, str(definition.get("description") or ""), definition.get(schema), f"{where}.{schema}")
        for definition in definitions
        if isinstance(name := definition.get("name"), str) and name
    ]


def arguments(text: str) -> JsonObject:
    """The arguments that an answer gives; none if it was cut."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _best(tools: Sequence[Tool], question: str) -> Tool:
    described = {f"{tool.name} {tool.description}": tool for tool in tools}
    return described[best_label(list(described), question)]


def _arguments(tool: Tool) -> JsonSchema:
    if tool.parameters is None:
        return _NO_ARGUMENTS
    schema = fields.schema_of(tool.parameters, tool.where)
    kind = schema.get("type", "object")
    if kind not in ("object", ["object"]):
        raise invalid(f"'{tool.where}' of {tool.name!r} must be a JSON schema of type 'object', not {kind!r}.")
    return schema if schema.get("properties") or not _SAYS_MORE.isdisjoint(schema) else _NO_ARGUMENTS
