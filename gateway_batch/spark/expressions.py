"""The few things done to Spark's own expressions through py4j, kept in one place."""

from __future__ import annotations

import json
from typing import Any

from py4j.java_gateway import JavaGateway, JavaObject, is_instance_of
from pyspark.sql.types import DataType, _parse_datatype_json_string

_EXPRESSIONS = "org.apache.spark.sql.catalyst.expressions"


class NotConstantError(Exception):
    """An argument that must be a constant depends on data."""


class Expressions:
    """Reads and makes expressions of one Spark driver."""

    def __init__(self, gateway: JavaGateway) -> None:
        self._gateway = gateway
        self._jvm = gateway.jvm

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
        """
        if is_instance_of(self._gateway, expression, f"{_EXPRESSIONS}.RuntimeReplaceable"):
            return self.constant(expression.replacement())  # schema_of_json, nvl: these don't evaluate themselves
        if self._is(expression, "Alias"):
            return self.constant(expression.child())
        if self._is(expression, "CreateNamedStruct"):
            return self._struct(expression.children())
        if not expression.foldable():
            raise NotConstantError
        value = expression.eval(self._jvm.org.apache.spark.sql.catalyst.InternalRow.empty())
        return self._as_json(value, expression.dataType())

    def data_type(self, expression: JavaObject) -> DataType:
        """An expression's SQL type."""
        return _parse_datatype_json_string(expression.dataType().json())

    def parse_type(self, ddl: str) -> DataType:
        """A type from its DDL; Spark's ParseException if it is none."""
        return _parse_datatype_json_string(self._jvm.org.apache.spark.sql.types.DataType.fromDDL(ddl).json())

    def time_zone(self, name: str) -> str:
        """A time zone as Spark's settings may write it, as a region or an offset (`Z`, `+05:30`)."""
        zone: str = self._jvm.org.apache.spark.sql.catalyst.util.DateTimeUtils.getZoneId(name).normalized().getId()
        return zone

    def cast(self, expression: JavaObject, data_type: DataType) -> JavaObject:
        """The expression cast to a type."""
        wanted = self._jvm.org.apache.spark.sql.types.DataType.fromJson(data_type.json())
        return self._jvm.org.apache.spark.sql.catalyst.expressions.Cast(
            expression, wanted, self._jvm.scala.Option.apply(None), self._ansi()
        )

    def array(self, expressions: list[JavaObject]) -> JavaObject:
        """An ARRAY of the expressions."""
        return self._jvm.org.apache.spark.sql.catalyst.expressions.CreateArray(self.sequence(expressions), False)

    def as_json(self, expression: JavaObject) -> JavaObject:
        """A STRUCT as JSON text, its NULLs in it; resolved with the session's time zone."""
        options = self._jvm.java.util.HashMap()
        options.put("ignoreNullFields", "false")
        return self._jvm.org.apache.spark.sql.catalyst.expressions.StructsToJson(
            self._jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(options),
            expression,
            self._jvm.scala.Option.apply(None),
        )

    def parsed_json(self, expression: JavaObject) -> JavaObject:
        """JSON text as VARIANT."""
        return self._jvm.org.apache.spark.sql.catalyst.expressions.variant.ParseJson(expression, True)

    def sequence(self, expressions: list[JavaObject]) -> JavaObject:
        """A Scala Seq."""
        array = self._jvm.java.util.ArrayList()
        for expression in expressions:
            array.add(expression)
        return self._jvm.scala.jdk.javaapi.CollectionConverters.asScala(array).toSeq()

    def _ansi(self) -> JavaObject:
        modes = getattr(self._jvm, f"{_EXPRESSIONS}.EvalMode$")
        return getattr(modes, "MODULE$").LEGACY()

    def _is(self, expression: JavaObject, name: str) -> bool:
        return bool(expression.getClass().getSimpleName() == name)

    def _struct(self, children: JavaObject) -> dict[str, Any]:
        values = [self.constant(children.apply(index)) for index in range(children.size())]
        return dict(zip(values[::2], values[1::2], strict=True))

    def _as_json(self, value: Any, data_type: JavaObject) -> Any:
        converters = self._jvm.org.apache.spark.sql.catalyst.CatalystTypeConverters
        cells = self._gateway.new_array(self._jvm.java.lang.Object, 1)
        cells[0] = converters.convertToScala(value, data_type)
        schema = self._jvm.org.apache.spark.sql.types.StructType().add("value", data_type)
        row = self._jvm.org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema(cells, schema)
        return json.loads(row.json())["value"]
