"""Every exception this package raises.

GatewayBatchError
|-- ConfigError           a setting or an argument is missing or wrong; raised before the first call
|-- AiFunctionError       what SQL shows: an AI_FUNCTION_... class, a SQLSTATE, a message
|-- CallError             one call failed; has kind, status, request_id, retry_after_s
|   |-- UnreachableError  no answer: DNS, TLS, connect, disconnect, timeout
|   |-- RejectedError     the gateway answered with an error, or its policy refused
|   `-- MalformedError    it answered 2xx with a body its API doesn't promise
`-- LedgerError           usage can't be stored: nothing more is sent

Misuse, such as a call on a closed client, is RuntimeError and not in this tree.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway_batch.types import InferenceResult


class ErrorKind(StrEnum):
    """Why a call failed: a closed list, kept in the usage table (`client_metadata.error_kind`)."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    QUOTA = "quota"
    CONFLICT = "conflict"
    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    OVERLOADED = "overloaded"
    POLICY = "policy"
    NOT_JSON = "not_json"
    INVALID_RESPONSE = "invalid_response"
    NO_ANSWER = "no_answer"
    BUDGET = "budget"

    @classmethod
    def _missing_(cls, value: object) -> ErrorKind | None:
        """A kind by its name in version 0.1, as in failures that a shared cache keeps."""
        return cls.INVALID_RESPONSE if value == "not_the_api" else None


class GatewayBatchError(Exception):
    """Base of every error of this package."""


class ConfigError(GatewayBatchError):
    """A setting or an argument is missing or wrong. Says which one and what to do."""


class LedgerError(GatewayBatchError):
    """Usage can't be stored. Nothing is sent that could not be recorded."""


SQLSTATES = {
    "AI_FUNCTION_COMPILATION_ERROR": "42883",
    "AI_FUNCTION_HTTP_REQUEST_ERROR": "08000",
    "AI_FUNCTION_INVALID_HTTP_RESPONSE": "08000",
    "AI_FUNCTION_JSON_PARSE_ERROR": "22000",
    "AI_FUNCTION_HTTP_PARSE_CAST_ERROR": "2203G",
    "AI_FUNCTION_INVALID_MODEL_PARAMETERS": "22023",
    "AI_FUNCTION_INVALID_MAX_WORDS": "22032",
    "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE": "0A000",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT": "0A000",
    "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE": "0A000",
    # Spark's own, for a call's arguments
    "DATATYPE_MISMATCH": "42K09",
    "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT": "4274K",
    "INVALID_PARAMETER_VALUE": "22023",
    "REQUIRED_PARAMETER_NOT_FOUND": "4274K",
    "UNRECOGNIZED_PARAMETER_NAME": "4274K",
    "WRONG_NUM_ARGS": "42605",
}


class AiFunctionError(GatewayBatchError):
    """An error as Databricks' AI functions raise it: `[CLASS] message SQLSTATE: nnnnn`.

    Args:
        error_class: one of `SQLSTATES`, with its sub-condition behind a dot if it has one.
        message: the text between class and SQLSTATE.
    """

    def __init__(self, error_class: str, message: str) -> None:
        self.error_class = error_class
        self.sqlstate = SQLSTATES[error_class.partition(".")[0]]
        self.message = message
        super().__init__(f"[{error_class}] {message} SQLSTATE: {self.sqlstate}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.error_class, self.message)


class CallError(GatewayBatchError):
    """One call failed.

    Attributes:
        kind: why, from the closed list.
        status: the HTTP status, None without an answer.
        request_id: the server's id of the request, None if it gave none.
        retry_after_s: seconds the server asked to wait, None if it didn't say.
        should_retry: whether the server said that the call is worth another try (`x-should-retry`); None if it didn't.
        refused_parameter: a model parameter that the service says it does not take; None where it says no such thing.
        wants_responses: whether the service says that the model is asked by OpenAI's Responses.
        paid: the model and tokens that the failed answer reports all the same, its value empty; None if it has none.
        event_id: of the attempt that failed; None if none was sent.
        was_sent: whether any attempt of the call was sent.
    """

    should_retry: bool | None = None
    refused_parameter: str | None = None
    wants_responses: bool = False
    event_id: str | None = None
    was_sent: bool = False

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        paid: InferenceResult | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.paid = paid

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.kind, str(self)), self.__dict__


class UnreachableError(CallError):
    """No answer arrived: name resolution, TLS, connect, disconnect, timeout, cancelled."""


class RejectedError(CallError):
    """The gateway answered 4xx or 5xx, its policy refused the call, or a 2xx says in its body that the call failed."""


class MalformedError(CallError):
    """The gateway answered 2xx with a body that its API doesn't promise."""


MESSAGES = {
    "AI_FUNCTION_HTTP_REQUEST_ERROR": "Error occurred while making an HTTP request for function {function}: {error}",
    "AI_FUNCTION_INVALID_HTTP_RESPONSE": "Invalid HTTP response for function {function}: {error}",
    "AI_FUNCTION_JSON_PARSE_ERROR": "Error occurred while parsing the JSON response for function {function}: {error}",
    "AI_FUNCTION_HTTP_PARSE_CAST_ERROR": "Failed to parse model output when casting to the specified returnType: "
    '"{return_type}", response JSON was: "{response}". Please update the returnType to match the contents of the type '
    "represented by the response JSON and then retry the query again. Exception: {why}",
    "AI_FUNCTION_INVALID_MAX_WORDS": "The maximum number of words must be a non-negative integer, but got {words}.",
    "AI_FUNCTION_INVALID_MODEL_PARAMETERS": "The provided model parameters ({parameters}) are invalid in the AI_QUERY "
    'function for serving endpoint "{endpoint}". {why}',
    "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE": 'AI function "{function}" requires a valid {form} string for the '
    'responseFormat parameter, but found: "{text}". Exception: {why}',
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT": "Found unsupported response format. It is for chat models, and "
    "{endpoint} is none.",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.JSON_STRING": "Found unsupported response format. AI function: "
    '"{function}" does not support the type "{kind}" of the following response format: "{text}". Supported types of '
    "the response format are: {types}.",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING": "Found unsupported response format. AI function: "
    '"{function}" does not support the following response format: "{text}". {why}',
    "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE": 'The returnType "{text}" of ai_query can\'t be used: {why}. Use a SQL type '
    "such as STRING, DOUBLE, ARRAY<STRING> or STRUCT<name: STRING, score: DOUBLE>.",
}
"""The texts of the classes of errors that only AI functions have, by class, or by class and sub-condition."""

CONNECT_MESSAGES = {
    "AI_FUNCTION_INVALID_MODEL_PARAMETERS.INVALID_PARAMETER_DATA_TYPE": 'The "modelParameters" parameter of {function} '
    "must be JSON text in SQL on Spark Connect, as in '{{\"temperature\": 0.1}}', or "
    "to_variant_object(named_struct(...)), but it is no JSON: {error}",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING": "Found unsupported response format. In SQL on Spark Connect, "
    '{function} does not take DDL: "{text}". Give a JSON schema, as in \'{{"type": "json_schema", ...}}\', or use '
    "gateway_batch.functions.ai_query, which takes DDL there too.",
    "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE": 'The returnType "{text}" of {function} can\'t be had in SQL on Spark '
    "Connect, where the result is STRING: use gateway_batch.functions.ai_query(..., returnType=...), or from_json on "
    "the result.",
}
"""Those of SQL on Spark Connect, where it can do less."""

_ROW_CLASSES = {
    ErrorKind.NOT_JSON: "AI_FUNCTION_JSON_PARSE_ERROR",
    ErrorKind.INVALID_RESPONSE: "AI_FUNCTION_INVALID_HTTP_RESPONSE",
    ErrorKind.NO_ANSWER: "AI_FUNCTION_INVALID_HTTP_RESPONSE",
}


def ai_function_error(error_class: str, **values: object) -> AiFunctionError:
    """An error with the text of its class; `values` are what the text names."""
    text = MESSAGES.get(error_class) or MESSAGES[error_class.partition(".")[0]]
    return AiFunctionError(error_class, text.format(**values))


def connect_error(error_class: str, **values: object) -> AiFunctionError:
    """As `ai_function_error`, with the text that the class has in SQL on Spark Connect."""
    return AiFunctionError(error_class, CONNECT_MESSAGES[error_class].format(**values))


def as_ai_function_error(error: CallError, function: str) -> AiFunctionError:
    """The SQL form of a failed call, by Databricks' error conditions (`AI_FUNCTION_*`)."""
    error_class = _ROW_CLASSES.get(error.kind, "AI_FUNCTION_HTTP_REQUEST_ERROR")
    if error.kind is ErrorKind.POLICY and isinstance(error, MalformedError):  # an answer, without the text
        error_class = "AI_FUNCTION_INVALID_HTTP_RESPONSE"
    return ai_function_error(error_class, function=function, error=error)
