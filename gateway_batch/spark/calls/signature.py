"""The arguments of SQL functions: which there are, and how a call's are bound to them. Pure; no Spark in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway_batch.errors import AiFunctionError

T = TypeVar("T")


@dataclass(frozen=True)
class Signature:
    """A function's parameters.

    Attributes:
        function: its name, for errors.
        parameters: in order.
        required: how many of them, from the first, a call has to give.
        positional: how many of them, from the first, may be given without their names.
        old_names: further names of parameters, in lower case.
    """

    function: str
    parameters: tuple[str, ...]
    required: int
    positional: int
    old_names: Mapping[str, str] = field(default_factory=dict)

    def bind(self, positional: Sequence[T], named: Sequence[tuple[str, T]]) -> dict[str, T]:
        """A call's arguments by parameter; names are found in any case.

        Raises:
            AiFunctionError: too many, unknown, given twice, or a required one missing; with Spark's own error classes.
        """
        if len(positional) > self.positional:
            raise self._too_many(len(positional))
        bound = dict(zip(self.parameters, positional, strict=False))
        by_lower = {name.lower(): name for name in self.parameters} | dict(self.old_names)
        for written, argument in named:
            name = by_lower.get(written.lower())
            if name is None:
                raise AiFunctionError(
                    "UNRECOGNIZED_PARAMETER_NAME",
                    f"{self.function} has no parameter {written}; it has {', '.join(self.parameters)}.",
                )
            if name in bound:
                raise AiFunctionError(
                    "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT", f"{self.function} was given its argument {name} twice."
                )
            bound[name] = argument
        for name in self.parameters[: self.required]:
            if name not in bound:
                raise AiFunctionError("REQUIRED_PARAMETER_NOT_FOUND", f"{self.function} needs its argument {name}.")
        return bound

    def _too_many(self, given: int) -> AiFunctionError:
        by_name = self.parameters[self.positional :]
        further = f"; give the others by name: {', '.join(by_name)}" if by_name else ""
        return AiFunctionError(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            f"{self.function} takes {self.required} to {self.positional} positional arguments, but got {given}"
            f"{further}.",
        )


# Databricks documents the first four in this order; further ones are given by name.
AI_QUERY = Signature(
    function="ai_query",
    parameters=(
        "endpoint",
        "request",
        "returnType",
        "failOnError",
        "modelParameters",
        "responseFormat",
        "files",
        "requestTags",
        "api",
        "when",
        "details",
        "systemPrompt",
    ),
    required=2,
    positional=4,
    old_names={"endpointname": "endpoint"},
)


@dataclass(frozen=True)
class Constant:
    """The value of an argument that may not depend on data.

    Attributes:
        value: as JSON has it: str, bool, int, float, None, lists and dicts of them.
        sql_type: its SQL type in capitals, for errors.
    """

    value: Any
    sql_type: str


_SQL_TYPES = {str: "STRING", bool: "BOOLEAN", int: "INT", float: "DOUBLE", list: "ARRAY", dict: "STRUCT"}


def constant_of(value: Any) -> Constant:
    """A constant that came as JSON or as a Python value."""
    return Constant(value, _SQL_TYPES.get(type(value), "VOID" if value is None else type(value).__name__))


class Constants:
    """A call's constant arguments, with their types checked as they are read."""

    def __init__(self, function: str, given: Mapping[str, Constant]) -> None:
        self._function = function
        self._given = given

    def text(self, name: str) -> str | None:
        """A STRING; None if it isn't given, or NULL."""
        value: str | None = self._typed(name, str, "STRING")
        return value

    def required_text(self, name: str) -> str:
        """A STRING that may not be NULL."""
        value = self.text(name)
        if value is None:
            raise mismatch(self._function, name, "STRING", self._given[name].sql_type)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A BOOLEAN."""
        value = self._typed(name, bool, "BOOLEAN")
        return default if value is None else bool(value)

    def integer(self, name: str, default: int) -> int:
        """An INT."""
        value = self._typed(name, int, "INT")
        return default if value is None else int(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A MAP or STRUCT; empty if it isn't given, or NULL."""
        return dict(self._typed(name, dict, "MAP<STRING, STRING>") or {})

    def any(self, name: str) -> Any:
        """A value of any type; None if it isn't given, or NULL."""
        return self._given[name].value if name in self._given else None

    def is_struct(self, name: str) -> bool:
        """Whether a STRUCT is given."""
        return name in self._given and self._given[name].sql_type.startswith("STRUCT")

    def _typed(self, name: str, kind: type, sql_type: str) -> Any:
        value = self.any(name)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise mismatch(self._function, name, sql_type, self._given[name].sql_type)
        return value


def mismatch(function: str, name: str, wanted: str, found: str) -> AiFunctionError:
    """The error of an argument of a wrong type."""
    return AiFunctionError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        f"The argument {name} of {function} must be {wanted}, not {found}.",
    )


def check_names(function: str, twice: str | None) -> None:
    """Refuses a STRUCT request that has a name twice.

    Raises:
        AiFunctionError: `twice`, one of its names, is not None.
    """
    if twice is not None:
        raise invalid_value(function, "request", f"has two fields named {twice}, of which JSON would keep one")


def invalid_value(function: str, name: str, why: str) -> AiFunctionError:
    """The error of an argument whose value can't be meant."""
    return AiFunctionError(
        "INVALID_PARAMETER_VALUE", f"The value of the parameter {name} of {function} is invalid: it {why}."
    )
