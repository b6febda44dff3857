"""From a call's constant arguments to its plan: the part that SQL, Columns and Spark Connect have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import types as t

from gateway_batch.apis import prompt_cache, task_of
from gateway_batch.apis.token_probabilities import PARAMETER as LOGPROBS
from gateway_batch.apis.token_probabilities import service_gives_logprobs
from gateway_batch.config import SCORING, GatewayConfig, resolve_service
from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.errors import ConfigError, ai_function_error
from gateway_batch.spark.calls.ai_functions import FAIL_ON_ERROR, TaskFunction
from gateway_batch.spark.calls.call_plan import CallerSettings, CallPlan, Input, Shape
from gateway_batch.spark.calls.classification import Classifier, classifier_of
from gateway_batch.spark.calls.model_parameters import check_model_parameters
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.response_format import parse_response_format
from gateway_batch.spark.calls.signature import AI_QUERY, Constants, check_names, invalid_value, mismatch
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.sql_types.casting import check_supported, unsupported_return_type
from gateway_batch.spark.sql_types.record_json import equal_names, has_floats
from gateway_batch.types import ResponseFormat, Service, Task

DETAILS: dict[str, t.DataType] = {
    "errorClass": t.StringType(),
    "errorKind": t.StringType(),
    "eventId": t.StringType(),
    "model": t.StringType(),
    "inputTokens": t.LongType(),
    "outputTokens": t.LongType(),
    "cacheReadInputTokens": t.LongType(),
    "cacheCreationInputTokens": t.LongType(),
    "reasoningTokens": t.LongType(),
    "finishReason": t.StringType(),
}
"""What `details` adds to a row's result, by the words of the usage table; tokens of failed rows are in that alone."""

CONSTANTS = (
    "endpoint",
    "returnType",
    "failOnError",
    "modelParameters",
    "responseFormat",
    "api",
    "details",
    "systemPrompt",
)


@dataclass(frozen=True)
class Planned:
    """A plan and the SQL type of the function's column."""

    plan: CallPlan
    column_type: t.DataType


@dataclass(frozen=True)
class Planner:
    """Plans the calls of one registration.

    Attributes:
        parse_type: from DDL to a type; raises PySparkException.
        time_zone: the session's, as it is now: a region or an offset (`Z`, `+05:30`).
        texts: whether results are text, as where a function has one type for all calls: JSON where they are none.
    """

    config: GatewayConfig
    runtime: RuntimeSettings
    caller: CallerSettings
    parse_type: Callable[[str], t.DataType]
    time_zone: Callable[[], str]
    texts: bool = False

    def ai_query(
        self, constants: Constants, inputs: tuple[Input, ...], *, record: bool, record_type: t.StructType | None = None
    ) -> Planned:
        """The plan of an `ai_query`.

        Args:
            constants: the arguments named in `CONSTANTS`.
            inputs: the columns of the call.
            record: whether the request is a STRUCT, as custom models take it.
            record_type: its type, where that is known.

        Raises:
            AiFunctionError: an argument is wrong.
            ConfigError: the endpoint can't be resolved.
        """
        function = AI_QUERY.function
        endpoint, api = constants.required_text("endpoint"), constants.text("api")
        service = resolve_service(self.config, endpoint, api, suited=SCORING if record else None)
        task = task_of(service.api)
        if record is not (task is Task.SCORING):
            raise mismatch(function, "request", *(("STRING", "STRUCT") if record else ("STRUCT", "STRING")))
        if record_type is not None:
            check_names(function, next(equal_names(record_type), None))
        response_format = self._response_format(constants.text("responseFormat"), service)
        answer_type = self._answer_type(constants.text("returnType"), service)
        _check_members(answer_type, response_format, constants.text("returnType"))
        fail_on_error = constants.flag("failOnError", default=True)
        given = constants.any("modelParameters")
        is_struct = constants.is_struct("modelParameters")
        parameters = (
            {}
            if given is None
            else check_model_parameters(given, service.endpoint, service.api, is_struct=is_struct, model=service.model)
        )
        system_prompt = constants.text("systemPrompt")
        if system_prompt is not None and not system_prompt.strip():  # as a variable may have it; services refuse it
            system_prompt = None
        for name, is_given in (("files", Input.FILES in inputs), ("systemPrompt", system_prompt is not None)):
            if is_given and task is not Task.CHAT:
                raise invalid_value(function, name, f"is for chat models, and {service.endpoint} is none")
        if prompt_cache.PARAMETER in parameters and system_prompt is None:
            raise invalid_value(function, "modelParameters", f"has no use here: {prompt_cache.NEEDS_SYSTEM_PROMPT}")
        details = constants.flag("details", default=False)
        if details and self.texts:
            raise invalid_value(function, "details", "is not to be had in SQL on Spark Connect, but in gb.functions")
        if details and fail_on_error:
            raise invalid_value(function, "details", "needs failOnError => false")
        plan = self._plan(
            function,
            service,
            inputs,
            answer_type,
            parameters=json.dumps(parameters),
            instructions=system_prompt,
            response_format=response_format,
            fail_on_error=fail_on_error,
            shape=Shape.RESULT if self.texts and not fail_on_error else Shape.VALUE,
            details=details,
            record_type=record_type.json() if record_type is not None and has_floats(record_type) else None,
        )
        return Planned(plan, answer_type if fail_on_error or self.texts else _with_error(answer_type, details))

    def task(self, task: TaskFunction, constants: Constants, *, row_labels_in_array: bool | None = None) -> Planned:
        """The plan of a task function's call.

        Args:
            task: the function.
            constants: the arguments that are constants.
            row_labels_in_array: whether labels that depend on data are an ARRAY; None: they don't depend on any.

        Raises:
            AiFunctionError: an argument is wrong.
            ConfigError: the endpoint behind it can't be resolved.
        """
        name = task.name
        classifier = None if row_labels_in_array is None else classifier_of(constants, in_array=row_labels_in_array)
        asked = task.ask(constants) if classifier is None else classifier.asked_by_row
        similarity = asked.shape is Shape.SIMILARITY
        fail_on_error = constants.flag(FAIL_ON_ERROR, default=not asked.shape.is_envelope)
        if similarity and self.texts and not fail_on_error:
            raise invalid_value(name, FAIL_ON_ERROR, "can't be false in SQL on Spark Connect, but in gb.functions")
        endpoint = self.config.similarity_endpoint if similarity else self.config.task_endpoint
        service = resolve_service(self.config, endpoint)
        wanted = Task.EMBEDDINGS if similarity else Task.CHAT
        if task_of(service.api) is not wanted:
            setting = "similarity_endpoint" if similarity else "task_endpoint"
            raise ConfigError(f"{setting}: {name} needs a service for {wanted}, but {endpoint} speaks {service.api}")
        has_error = not fail_on_error and not asked.shape.is_envelope
        plan = self._plan(
            name,
            service,
            (Input.REQUEST,) if classifier is None else (Input.REQUEST, Input.LABELS),
            asked.result_type,
            instructions=asked.instructions,
            response_format=asked.response_format,
            member=asked.member,
            shape=Shape.RESULT if has_error and self.texts else asked.shape,
            fail_on_error=fail_on_error,
            misfit_is_null=asked.misfit_is_null,
            metadata=asked.metadata,
            questions=asked.questions,
            classifier=classifier,
            bound=asked.bound,
            confidences=asked.confidences,
        )
        as_struct = has_error and not self.texts
        return Planned(plan, _with_error(asked.result_type, details=False) if as_struct else asked.result_type)

    def _plan(
        self,
        function: str,
        service: Service,
        inputs: tuple[Input, ...],
        result_type: t.DataType,
        *,
        parameters: str = "{}",
        instructions: str | None = None,
        response_format: ResponseFormat | None = None,
        member: str | None = None,
        shape: Shape = Shape.VALUE,
        fail_on_error: bool = True,
        details: bool = False,
        record_type: str | None = None,
        misfit_is_null: bool = False,
        metadata: str | None = None,
        questions: str | None = None,
        classifier: Classifier | None = None,
        bound: OutputBound | None = None,
        confidences: bool = False,
    ) -> CallPlan:
        if asks_logprobs := confidences and service_gives_logprobs(service):
            parameters = json.dumps({**json.loads(parameters), LOGPROBS: True})
        return CallPlan(
            function=function,
            service=service,
            parameters=parameters,
            instructions=instructions,
            response_format=response_format,
            member=member,
            shape=shape,
            result_type=result_type.json(),
            time_zone=self.time_zone(),
            fail_on_error=fail_on_error,
            tags=tuple(self.config.request_tags.items()),
            inputs=inputs,
            cache=self.config.cache,
            runtime=self.runtime,
            caller=self.caller,
            details=details,
            record_type=record_type,
            misfit_is_null=misfit_is_null,
            metadata=metadata,
            questions=questions,
            classifier=classifier,
            bound=bound,
            confidences=confidences,
            optional=frozenset({LOGPROBS}) if asks_logprobs else frozenset(),
        )

    def _response_format(self, text: str | None, service: Service) -> ResponseFormat | None:
        if text is None:
            return None
        if task_of(service.api) is not Task.CHAT:
            raise ai_function_error("AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT", endpoint=service.endpoint)
        return parse_response_format(text, AI_QUERY.function, self.parse_type)

    def _answer_type(self, ddl: str | None, service: Service) -> t.DataType:
        if ddl is None:
            embeddings = task_of(service.api) is Task.EMBEDDINGS and not self.texts
            return t.ArrayType(t.FloatType()) if embeddings else t.StringType()
        try:
            answer_type = self.parse_type(ddl)._as_nullable()  # as from_json: any member may be missing
        except PySparkException as error:
            raise unsupported_return_type(ddl, first_line(error)) from None
        check_supported(answer_type, ddl)
        return answer_type


def _check_members(answer_type: t.DataType, wanted: ResponseFormat | None, ddl: str | None) -> None:
    """An answer that is held to a closed schema has none of a STRUCT's members where the schema names none of them."""
    schema = None if wanted is None else wanted.schema
    if not isinstance(answer_type, t.StructType) or not schema or schema.get("additionalProperties") is not False:
        return
    names = list(schema.get("properties", ()))
    if names and not set(answer_type.names) & set(names):
        raise unsupported_return_type(
            str(ddl), f"responseFormat asks for an object of {', '.join(names)}, so that each member would be NULL"
        )


def _with_error(answer_type: t.DataType, details: bool) -> t.StructType:
    outcome = t.StructType().add("result", answer_type).add("errorMessage", t.StringType())
    for name, data_type in DETAILS.items() if details else ():
        outcome.add(name, data_type)
    return outcome
