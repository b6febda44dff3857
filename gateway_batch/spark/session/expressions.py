"""The few things done to Spark's own expressions through py4j, kept in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from py4j.java_gateway import JavaClass, JavaObject
from pyspark.sql.types import DataType, _parse_datatype_json_string

from gateway_batch.spark.session.jvm import Jvm

_SQL = "org.apache.spark.sql"
_CATALYST = f"{_SQL}.catalyst"
_EXPRESSIONS = f"{_CATALYST}.expressions"


class NotConstantError(Exception):
    """An argument that must be a constant depends on data."""


class EqualNamesError(Exception):
    """A constant STRUCT has two fields of one name, which is the message."""


class Expressions:
    """Reads and makes expressions of one Spark driver."""

    def __init__(self, jvm: Jvm) -> None:
        self._jvm = jvm

    def arguments(self, children: JavaObject) -> tuple[list[JavaObject], list[tuple[str, JavaObject]]]:
        """A call's positional arguments, and its named ones as written."""
        positional, named = [], []
        for index in range(children.size()):
            child = children.apply(index)
            if self._is(child, "NamedArgumentExpression"):
                named.append((child.key(), child.value()))
            else:
                positional.append(child)
        return positional, named

    def constant(self, expression: JavaObject) -> Any:
        """A constant's value as JSON has it: str, bool, int, float, None, lists and dicts of them.

        Raises:
            NotConstantError: it depends on data.
            EqualNamesError: a STRUCT has two fields of one name.
        """
        if self._jvm.is_instance(expression, f"{_EXPRESSIONS}.RuntimeReplaceable"):
            return self.constant(expression.replacement())  # schema_of_json, nvl: these don't evaluate themselves
        if self._is(expression, "Alias"):
            return self.constant(expression.child())
        if self._is(expression, "CreateNamedStruct"):
            return self._struct(expression.children())
        if not expression.foldable():
            raise NotConstantError
        value = expression.eval(self._jvm.java_class(f"{_CATALYST}.InternalRow").empty())
        return self._as_json(value, expression.dataType())

    def is_constant(self, expression: JavaObject) -> bool:
        """Whether an expression's value is known without data."""
        return bool(expression.foldable())

    def data_type(self, expression: JavaObject) -> DataType:
        """An expression's SQL type."""
        return _parse_datatype_json_string(expression.dataType().json())

    def parse_type(self, ddl: str) -> DataType:
        """A type from its DDL; Spark's ParseException if it is none."""
        return _parse_datatype_json_string(self._java_type.fromDDL(ddl).json())

    def time_zone(self, name: str) -> str:
        """A time zone as Spark's settings may write it, as a region or an offset (`Z`, `+05:30`)."""
        utilities = self._jvm.java_class(f"{_CATALYST}.util.DateTimeUtils")
        return str(utilities.getZoneId(name).normalized().getId())

    def cast(self, expression: JavaObject, data_type: DataType) -> JavaObject:
        """The expression cast to a type."""
        wanted = self._java_type.fromJson(data_type.json())
        return self._expression("Cast")(expression, wanted, self._jvm.option(None), self._ansi())

    def array(self, expressions: list[JavaObject]) -> JavaObject:
        """An ARRAY of the expressions."""
        return self._expression("CreateArray")(self._jvm.sequence(expressions), False)

    def as_json(self, expression: JavaObject, given: Mapping[str, str]) -> JavaObject:
        """A STRUCT as JSON text, with options of `to_json`; resolved with the session's time zone."""
        options = self._jvm.java_class("java.util.HashMap")()
        for name, value in given.items():
            options.put(name, value)
        as_scala = self._jvm.java_class("org.apache.spark.api.python.PythonUtils").toScalaMap
        return self._expression("StructsToJson")(as_scala(options), expression, self._jvm.option(None))

    def parsed_json(self, expression: JavaObject) -> JavaObject:
        """JSON text as VARIANT."""
        return self._expression("variant.ParseJson")(expression, True)

    def sequence(self, expressions: list[JavaObject]) -> JavaObject:
        """A Scala Seq."""
        return self._jvm.sequence(expressions)

    def _ansi(self) -> JavaObject:
        return self._jvm.scala_object(f"{_EXPRESSIONS}.EvalMode").LEGACY()

    @property
    def _java_type(self) -> JavaClass:
        return self._jvm.java_class(f"{_SQL}.types.DataType")

    def _expression(self, name: str) -> JavaClass:
        return self._jvm.java_class(f"{_EXPRESSIONS}.{name}")

    def _is(self, expression: JavaObject, name: str) -> bool:
        return bool(expression.getClass().getSimpleName() == name)

    def _struct(self, children: JavaObject) -> dict[str, Any]:
        values = [self.constant(children.apply(index)) for index in range(children.size())]
        names = values[::2]
        if len(set(names)) < len(names):
            raise EqualNamesError(next(name for name in names if names.count(name) > 1))
        return dict(zip(values[::2], values[1::2], strict=True))

    def _as_json(self, value: Any, data_type: JavaObject) -> Any:
        converters = self._jvm.java_class(f"{_CATALYST}.CatalystTypeConverters")
        cells = self._jvm.objects(converters.convertToScala(value, data_type))
        schema = self._jvm.java_class(f"{_SQL}.types.StructType")().add("value", data_type)
        row = self._expression("GenericRowWithSchema")(cells, schema)
        return json.loads(row.json())["value"]
