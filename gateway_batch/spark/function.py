"""`ai_query` as a function of a classic Spark session.

Spark calls the builder while it analyses a query, with the call's argument expressions. The builder folds the
constant ones, checks them, chooses the result type, and answers with a Python UDF over those that depend on data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JJavaError
from pyspark import Broadcast
from pyspark.errors import PySparkException
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession
from pyspark.sql import types as t
from pyspark.sql.udf import UserDefinedFunction
from pyspark.util import PythonEvalType

from gateway_batch.apis import task_of
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.errors import AiFunctionError, ConfigError, GatewayBatchError
from gateway_batch.spark.casting import check_supported, unsupported_return_type
from gateway_batch.spark.expressions import Expressions, NotConstantError
from gateway_batch.spark.jvm import gateway_of
from gateway_batch.spark.messages import first_line
from gateway_batch.spark.plan import CallerSettings, CallPlan, RuntimeSettings
from gateway_batch.spark.signature import bind, check_model_parameters
from gateway_batch.spark.worker import FUNCTION, make_function
from gateway_batch.types import Service, Task

T = TypeVar("T")


class AiQuery:
    """Plans calls of `ai_query` for one registration.

    Args:
        spark: a classic session.
        credentials: token values by reference, apart from the plan.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: GatewayConfig,
        runtime: RuntimeSettings,
        caller: CallerSettings,
        credentials: Broadcast[dict[str, str]],
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._caller = caller
        self._credentials = credentials
        self._spark = spark
        self._expressions = Expressions(gateway_of(spark))

    def build(self, children: JavaObject) -> JavaObject:
        """The expression of one call.

        Raises:
            AiFunctionError: an argument is wrong.
            ConfigError: the endpoint can't be resolved.
        """
        arguments = bind(*self._expressions.arguments(children))
        plan, result_type = self._plan(arguments)
        columns = [self._request_column(arguments["request"])]
        if plan.has_tags:
            columns.append(self._typed_column(arguments, "requestTags", t.MapType(t.StringType(), t.StringType())))
        if plan.has_condition:
            columns.append(self._typed_column(arguments, "when", t.BooleanType()))
        udf = UserDefinedFunction(
            make_function(plan, self._credentials),
            result_type,
            name=FUNCTION,
            evalType=PythonEvalType.SQL_SCALAR_ARROW_ITER_UDF,
            deterministic=True,
        )
        return udf._judf.builder(self._expressions.sequence(columns))

    def _plan(self, arguments: dict[str, JavaObject]) -> tuple[CallPlan, t.DataType]:
        endpoint = self._constant(arguments, "endpoint", str)
        assert endpoint is not None
        service = resolve_service(self._config, endpoint, self._constant(arguments, "api", str))
        if task_of(service.api) is Task.SCORING:
            raise ConfigError(f"endpoint {endpoint}: ai_query can't call {service.api} yet: it has no STRUCT requests")
        fail_on_error = self._constant(arguments, "failOnError", bool)
        fail_on_error = True if fail_on_error is None else fail_on_error
        answer_type = self._answer_type(arguments, service)
        parameters = self._parameters(arguments, service)
        plan = CallPlan(
            service=service,
            parameters=json.dumps(parameters),
            result_type=answer_type.json(),
            time_zone=self._spark.conf.get("spark.sql.session.timeZone") or "UTC",
            fail_on_error=fail_on_error,
            tags=tuple(self._config.request_tags.items()),
            has_tags="requestTags" in arguments,
            has_condition="when" in arguments,
            runtime=self._runtime,
            caller=self._caller,
        )
        return plan, answer_type if fail_on_error else _with_error(answer_type)

    def _answer_type(self, arguments: dict[str, JavaObject], service: Service) -> t.DataType:
        ddl = self._constant(arguments, "returnType", str)
        if ddl is None:
            embedding = task_of(service.api) is Task.EMBEDDINGS
            return t.ArrayType(t.FloatType()) if embedding else t.StringType()
        try:
            answer_type = self._expressions.parse_type(ddl)
        except PySparkException as error:
            raise unsupported_return_type(ddl, first_line(error)) from None
        check_supported(answer_type, ddl)
        return answer_type

    def _parameters(self, arguments: dict[str, JavaObject], service: Service) -> dict[str, Any]:
        value = self._constant(arguments, "modelParameters", object)
        return {} if value is None else check_model_parameters(value, service.endpoint, service.api)

    def _constant(self, arguments: dict[str, JavaObject], name: str, kind: type[T]) -> T | None:
        """An argument that must be a constant; None if it isn't given, or NULL where that is allowed."""
        if name not in arguments:
            return None
        try:
            value = self._expressions.constant(arguments[name])
        except NotConstantError:
            raise AiFunctionError(
                "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
                f"The argument {name} of ai_query must be a constant, but it is {arguments[name].sql()}. "
                "Write a literal, a session variable or a parameter marker.",
            ) from None
        if isinstance(value, kind) or (value is None and name != "endpoint"):
            return value
        wanted = {str: "STRING", bool: "BOOLEAN"}[kind]
        found = self._expressions.data_type(arguments[name]).simpleString().upper()
        raise _mismatch(name, wanted, found)

    def _request_column(self, expression: JavaObject) -> JavaObject:
        data_type = self._expressions.data_type(expression)
        if isinstance(data_type, t.StringType):
            return expression
        if isinstance(data_type, t.ArrayType | t.MapType | t.StructType | t.BinaryType | t.VariantType):
            raise _mismatch("request", "STRING", data_type.simpleString().upper())
        return self._expressions.as_string(expression)

    def _typed_column(self, arguments: dict[str, JavaObject], name: str, wanted: t.DataType) -> JavaObject:
        found = self._expressions.data_type(arguments[name])
        if type(found) is not type(wanted) or (isinstance(found, t.MapType) and not _is_text_map(found)):
            raise _mismatch(name, wanted.simpleString().upper(), found.simpleString().upper())
        return arguments[name]


def _is_text_map(data_type: t.MapType) -> bool:
    return isinstance(data_type.keyType, t.StringType) and isinstance(data_type.valueType, t.StringType)


def _with_error(answer_type: t.DataType) -> t.StructType:
    return t.StructType().add("result", answer_type).add("errorMessage", t.StringType())


def _mismatch(name: str, wanted: str, found: str) -> AiFunctionError:
    return AiFunctionError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        f"The argument {name} of ai_query must be {wanted}, not {found}.",
    )


class _FunctionBuilder:
    """The builder as Spark sees it: a `scala.Function1` from argument expressions to an expression."""

    def __init__(self, gateway: Any, build: Callable[[JavaObject], JavaObject]) -> None:
        self._gateway = gateway
        self._build = build

    def apply(self, children: JavaObject) -> JavaObject:
        try:
            return self._build(children)
        except (GatewayBatchError, ConfigError) as error:
            raise self._as_java(str(error)) from None
        except PySparkException as error:
            raise self._as_java(first_line(error)) from None

    def _as_java(self, message: str) -> Py4JJavaError:
        """Unchecked, as scala.Function1 declares no exception: so it reaches the user as one line, without stacks."""
        return Py4JJavaError(message, self._gateway.jvm.java.lang.IllegalArgumentException(message))

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
    builder = _FunctionBuilder(gateway, build)
    for registry in _registries(spark):
        registry.registerFunction(_identifier(spark, name), builder, "built-in")


def uninstall(spark: SparkSession, name: str) -> None:
    """Takes the function out of both registries."""
    for registry in _registries(spark):
        registry.dropFunction(_identifier(spark, name))


def _registries(spark: SparkSession) -> list[JavaObject]:
    return [_built_in(spark).builtin(), spark._jsparkSession.sessionState().functionRegistry()]


def _identifier(spark: SparkSession, name: str) -> JavaObject:
    if tuple(int(part) for part in spark.version.split(".")[:2]) >= (4, 2):
        return _built_in(spark).builtinFunctionIdentifier(name)
    return gateway_of(spark).jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(name)


def _built_in(spark: SparkSession) -> JavaObject:
    registry = getattr(gateway_of(spark).jvm.org.apache.spark.sql.catalyst.analysis, "FunctionRegistry$")
    return getattr(registry, "MODULE$")
