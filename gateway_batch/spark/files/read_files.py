"""`read_files(path, format => ..., ...)`, as Databricks has it, for sessions that don't: files as rows in SQL."""

from __future__ import annotations

from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.signature import Constant, Constants, invalid_value
from gateway_batch.spark.session.expressions import Expressions, NotConstantError
from gateway_batch.spark.session.jvm import jvm_of

NAME = "read_files"

_FORMATS = ("avro", "binaryFile", "csv", "json", "orc", "parquet", "text")


class ReadFiles:
    """Makes the plan of one call.

    Args:
        spark: a classic session.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._expressions = Expressions(jvm_of(spark))

    def build(self, children: JavaObject) -> JavaObject:
        """The plan that reads the files.

        Raises:
            AiFunctionError: an argument is missing, no constant, or of a wrong type; the format is unknown.
        """
        positional, named = self._expressions.arguments(children)
        arguments = dict(zip(("path",), positional, strict=False)) | dict(named)
        if len(positional) > 1 or "path" not in arguments:
            raise AiFunctionError(
                "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
                f"{NAME} takes a path, and options by name, such as format => 'csv'.",
            )
        constants = Constants(NAME, {name: self._constant(name, argument) for name, argument in arguments.items()})
        written = constants.text("format") or _format_of(constants.required_text("path"))
        known = {name.lower(): name for name in _FORMATS}
        if written.lower() not in known:
            raise invalid_value(NAME, "format", f"expects one of {', '.join(_FORMATS)}, but got {written!r}")
        reader = self._spark.read.format(known[written.lower()])
        if (schema := constants.text("schema")) is not None:
            reader = reader.schema(schema)
        for name in arguments:
            if name not in ("path", "format", "schema"):
                reader = reader.option(name, _option(constants.any(name)))
        return reader.load(constants.required_text("path"))._jdf.queryExecution().analyzed()

    def _constant(self, name: str, argument: JavaObject) -> Constant:
        try:
            value = self._expressions.constant(argument)
        except NotConstantError:
            raise AiFunctionError(
                "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
                f"The argument {name} of {NAME} must be a constant, but it is {argument.sql()}.",
            ) from None
        return Constant(value, self._expressions.data_type(argument).simpleString().upper())


def _format_of(path: str) -> str:
    """By the path's ending; Databricks looks into the files."""
    ending = path.rpartition(".")[2].lower()
    return {"jsonl": "json", "ndjson": "json", "txt": "text"}.get(ending, ending)


def _option(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
