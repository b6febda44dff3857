"""`ai_query` as a function of a classic Spark session.

Spark calls the builder while it analyses a query, with the call's argument expressions. The builder folds the
constant ones, has the call planned, and answers with a Python UDF over those that depend on data.
"""

from __future__ import annotations

from collections.abc import Callable

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JJavaError
from pyspark import Broadcast
from pyspark.errors import PySparkException
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession
from pyspark.sql import types as t
from pyspark.sql.udf import UserDefinedFunction
from pyspark.util import PythonEvalType

from gateway_batch.errors import AiFunctionError, GatewayBatchError
from gateway_batch.spark.calls.ai_functions import TaskFunction
from gateway_batch.spark.calls.call_plan import Input
from gateway_batch.spark.calls.planning import CONSTANTS, Planned, Planner
from gateway_batch.spark.calls.signature import AI_QUERY, Constant, Constants, Signature, invalid_value, mismatch
from gateway_batch.spark.session.expressions import EqualNamesError, Expressions, NotConstantError
from gateway_batch.spark.session.jvm import Jvm, gateway_of, jvm_of
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.sql_types.record_json import OPTIONS
from gateway_batch.spark.worker.partition import FUNCTION, make_function

_TEXT_MAP = t.MapType(t.StringType(), t.StringType())
_INPUT_TYPES: dict[Input, t.DataType] = {
    Input.TAGS: _TEXT_MAP,
    Input.CONDITION: t.BooleanType(),
    Input.FILES: t.BinaryType(),
}


class CallBuilder:
    """Makes the expressions of calls for one registration.

    Args:
        spark: a classic session.
        planner: of the registration.
        credentials: token values by reference, apart from the plan.
        rules: of the optimizer, for each session that has a call; None for none.
    """

    def __init__(
        self,
        spark: SparkSession,
        planner: Planner,
        credentials: Broadcast[dict[str, str]],
        rules: JavaObject | None = None,
    ) -> None:
        self._planner = planner
        self._credentials = credentials
        self._rules = rules
        self._expressions = Expressions(jvm_of(spark))

    def ai_query(self, children: JavaObject) -> JavaObject:
        """The expression of one call of `ai_query`.

        Raises:
            AiFunctionError: an argument is wrong.
            ConfigError: the endpoint can't be resolved.
        """
        arguments = AI_QUERY.bind(*self._expressions.arguments(children))
        inputs = tuple(name for name in Input if name in arguments)
        found = self._expressions.data_type(arguments["request"])
        record = found if isinstance(found, t.StructType) else None
        constants = self._constants(AI_QUERY, arguments, CONSTANTS)
        planned = self._planner.ai_query(constants, inputs, record=record is not None, record_type=record)
        return self._call(planned, [self._column(arguments, name) for name in inputs])

    def task(self, task: TaskFunction) -> Callable[[JavaObject], JavaObject]:
        """What makes the expression of one call of a task function."""

        def build(children: JavaObject) -> JavaObject:
            arguments = task.signature.bind(*self._expressions.arguments(children))
            by_row = [name for name in task.by_row if not self._expressions.is_constant(arguments[name])]
            names = tuple(name for name in task.constants if name not in by_row)
            constants = self._constants(task.signature, arguments, names)
            contents = [self._content(task.name, name, arguments[name]) for name in task.contents]
            columns = [contents[0] if len(contents) == 1 else self._expressions.array(contents)]
            in_array = None
            for name in by_row:
                in_array = self._is_array_of_texts(task.name, name, arguments[name])
                columns.append(arguments[name])
            planned = self._planner.task(task, constants, row_labels_in_array=in_array)
            call = self._call(planned, columns)
            return self._expressions.parsed_json(call) if planned.plan.shape.is_envelope else call

        return build

    def _is_array_of_texts(self, function: str, name: str, expression: JavaObject) -> bool:
        """Whether an argument is an ARRAY of STRING, and not a STRING."""
        data_type = self._expressions.data_type(expression)
        if isinstance(data_type, t.StringType):
            return False
        if isinstance(data_type, t.ArrayType) and isinstance(data_type.elementType, t.StringType):
            return True
        raise mismatch(function, name, "ARRAY<STRING> or STRING", data_type.simpleString().upper())

    def _content(self, function: str, name: str, expression: JavaObject) -> JavaObject:
        """A task's content; a VARIANT, as `ai_parse_document` gives it, is its text or its JSON."""
        if isinstance(self._expressions.data_type(expression), t.VariantType):
            return self._expressions.cast(expression, t.StringType())
        return self._text(function, name, expression)

    def _call(self, planned: Planned, columns: list[JavaObject]) -> JavaObject:
        if self._rules is not None:  # the active session may be one that `newSession()` made
            self._rules.addToActiveSession()
        udf = UserDefinedFunction(
            make_function(planned.plan, self._credentials),
            planned.column_type,
            name=FUNCTION,
            evalType=PythonEvalType.SQL_SCALAR_ARROW_ITER_UDF,
            deterministic=True,
        )
        return udf._judf.builder(self._expressions.sequence(columns))

    def _constants(self, signature: Signature, arguments: dict[str, JavaObject], names: tuple[str, ...]) -> Constants:
        given = {name: self._constant(signature, name, arguments[name]) for name in names if name in arguments}
        return Constants(signature.function, given)

    def _constant(self, signature: Signature, name: str, expression: JavaObject) -> Constant:
        try:
            value = self._expressions.constant(expression)
        except EqualNamesError as error:
            raise invalid_value(signature.function, name, f"has two fields named {error}") from None
        except NotConstantError:
            raise AiFunctionError(
                "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
                f"The argument {name} of {signature.function} must be a constant, but it is {expression.sql()}. "
                "Write a literal, a session variable or a parameter marker.",
            ) from None
        return Constant(value, self._expressions.data_type(expression).simpleString().upper())

    def _column(self, arguments: dict[str, JavaObject], name: Input) -> JavaObject:
        expression = arguments[name]
        if name is Input.REQUEST and isinstance(self._expressions.data_type(expression), t.StructType):
            return self._expressions.as_json(expression, OPTIONS)
        if name is Input.REQUEST:
            return self._text(AI_QUERY.function, name, expression)
        found, wanted = self._expressions.data_type(expression), _INPUT_TYPES[name]
        if isinstance(found, t.NullType):
            return self._expressions.cast(expression, wanted)
        if found != wanted and not (isinstance(found, t.MapType) and _is_text_map(found)):
            raise mismatch(AI_QUERY.function, name, wanted.simpleString().upper(), found.simpleString().upper())
        return expression

    def _text(self, function: str, name: str, expression: JavaObject) -> JavaObject:
        data_type = self._expressions.data_type(expression)
        if isinstance(data_type, t.StringType):
            return expression
        if isinstance(data_type, t.ArrayType | t.MapType | t.StructType | t.BinaryType | t.VariantType):
            raise mismatch(function, name, "STRING", data_type.simpleString().upper())
        return self._expressions.cast(expression, t.StringType())


def _is_text_map(data_type: t.MapType) -> bool:
    return isinstance(data_type.keyType, t.StringType) and isinstance(data_type.valueType, t.StringType)


class _FunctionBuilder:
    """The builder as Spark sees it: a `scala.Function1` from argument expressions to an expression."""

    def __init__(self, jvm: Jvm, build: Callable[[JavaObject], JavaObject]) -> None:
        self._jvm = jvm
        self._build = build

    def apply(self, children: JavaObject) -> JavaObject:
        try:
            return self._build(children)
        except GatewayBatchError as error:
            raise self._as_java(str(error)) from None
        except PySparkException as error:
            raise self._as_java(first_line(error)) from None

    def _as_java(self, message: str) -> Py4JJavaError:
        """Unchecked, as scala.Function1 declares no exception: so it reaches the user as one line, without stacks."""
        return Py4JJavaError(message, self._jvm.java_class("java.lang.IllegalArgumentException")(message))

    class Java:
        implements = ("scala.Function1",)


def install(spark: SparkSession, name: str, build: Callable[[JavaObject], JavaObject]) -> None:
    """Makes a function of the session, of sessions made from it later, and of permanent views.

    Two registries are needed: the session's own, and Spark's built-in one, which new sessions copy. In both it stands
    among the built-in functions: a permanent view may not refer to a temporary one.
    """
    gateway = gateway_of(spark)
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    gateway.python_parameters.propagate_java_exceptions = True
    builder = _FunctionBuilder(jvm_of(spark), build)
    for registry in _registries(spark):
        registry.registerFunction(_identifier(spark, name), builder, "built-in")


def install_table_function(spark: SparkSession, name: str, build: Callable[[JavaObject], JavaObject]) -> None:
    """Makes a table function of the session, unless it has one of that name, as on Databricks."""
    registry = spark._jsparkSession.sessionState().tableFunctionRegistry()
    if not registry.functionExists(_identifier(spark, name)):
        registry.registerFunction(_identifier(spark, name), _FunctionBuilder(jvm_of(spark), build), "built-in")


def uninstall(spark: SparkSession, name: str) -> None:
    """Takes the function out of both registries."""
    for registry in _registries(spark):
        registry.dropFunction(_identifier(spark, name))


def _registries(spark: SparkSession) -> list[JavaObject]:
    return [_built_in(spark).builtin(), spark._jsparkSession.sessionState().functionRegistry()]


def _identifier(spark: SparkSession, name: str) -> JavaObject:
    if tuple(int(part) for part in spark.version.split(".")[:2]) >= (4, 2):
        return _built_in(spark).builtinFunctionIdentifier(name)
    return jvm_of(spark).java_class("org.apache.spark.sql.catalyst.FunctionIdentifier")(name)


def _built_in(spark: SparkSession) -> JavaObject:
    return jvm_of(spark).scala_object("org.apache.spark.sql.catalyst.analysis.FunctionRegistry")
