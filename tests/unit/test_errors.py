from __future__ import annotations

import pickle

import pytest

from gateway_batch.errors import (
    SQLSTATES,
    AiFunctionError,
    CallError,
    ErrorKind,
    GatewayBatchError,
    MalformedError,
    RejectedError,
    UnreachableError,
    as_ai_function_error,
)

# Databricks' error conditions (reference, 1.5), and Spark's own for a call's arguments.
REFERENCE = {
    "AI_FUNCTION_COMPILATION_ERROR": "42883",
    "AI_FUNCTION_HTTP_REQUEST_ERROR": "08000",
    "AI_FUNCTION_INVALID_HTTP_RESPONSE": "08000",
    "AI_FUNCTION_JSON_PARSE_ERROR": "22000",
    "AI_FUNCTION_HTTP_PARSE_CAST_ERROR": "2203G",
    "AI_FUNCTION_HTTP_PARSE_COLUMNS_ERROR": "2203G",
    "AI_FUNCTION_MODEL_SCHEMA_PARSE_ERROR": "2203G",
    "AI_FUNCTION_INVALID_MODEL_PARAMETERS": "22023",
    "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE": "0A000",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT": "0A000",
    "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE": "0A000",
    "AI_FUNCTION_SESSION_PERMISSION_DENIED": "42501",
    "AI_FUNCTION_INVALID_MAX_WORDS": "22032",
    "DATATYPE_MISMATCH": "42K09",
    "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT": "4274K",
    "INVALID_PARAMETER_VALUE": "22023",
    "REQUIRED_PARAMETER_NOT_FOUND": "4274K",
    "UNRECOGNIZED_PARAMETER_NAME": "4274K",
    "WRONG_NUM_ARGS": "42605",
}
# What calls can raise today; the rest of the table belongs to arguments that don't exist yet.
RAISED = {
    "AI_FUNCTION_HTTP_REQUEST_ERROR",
    "AI_FUNCTION_INVALID_HTTP_RESPONSE",
    "AI_FUNCTION_JSON_PARSE_ERROR",
    "AI_FUNCTION_HTTP_PARSE_CAST_ERROR",
    "AI_FUNCTION_INVALID_MODEL_PARAMETERS",
    "AI_FUNCTION_INVALID_MAX_WORDS",
    "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE",
    "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT",
    "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE",
    "DATATYPE_MISMATCH",
    "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT",
    "REQUIRED_PARAMETER_NOT_FOUND",
    "UNRECOGNIZED_PARAMETER_NAME",
    "WRONG_NUM_ARGS",
}


def test_every_error_class_has_the_sqlstate_of_the_reference() -> None:
    assert {name: REFERENCE.get(name) for name in SQLSTATES} == SQLSTATES
    assert set(SQLSTATES) >= RAISED


def test_an_ai_function_error_reads_class_message_sqlstate() -> None:
    error = AiFunctionError("AI_FUNCTION_HTTP_REQUEST_ERROR", "It broke.")
    assert str(error) == "[AI_FUNCTION_HTTP_REQUEST_ERROR] It broke. SQLSTATE: 08000"
    assert (error.error_class, error.message, error.sqlstate) == (
        "AI_FUNCTION_HTTP_REQUEST_ERROR",
        "It broke.",
        "08000",
    )


def test_a_sub_condition_has_its_class_sqlstate() -> None:
    error = AiFunctionError("WRONG_NUM_ARGS.WITHOUT_SUGGESTION", "Too many.")
    assert str(error) == "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] Too many. SQLSTATE: 42605"


def test_an_error_class_without_sqlstate_is_refused() -> None:
    with pytest.raises(KeyError):
        AiFunctionError("NO_SUCH_CLASS", "x")


@pytest.mark.parametrize(
    "kind", sorted(set(ErrorKind) - {ErrorKind.NOT_JSON, ErrorKind.INVALID_RESPONSE, ErrorKind.NO_ANSWER})
)
def test_a_failed_request_is_an_http_request_error(kind: ErrorKind) -> None:
    error = as_ai_function_error(CallError(kind, "503: {no} route"), "ai_query")
    assert str(error) == (
        "[AI_FUNCTION_HTTP_REQUEST_ERROR] Error occurred while making an HTTP request for function ai_query: "
        "503: {no} route SQLSTATE: 08000"
    )


def test_an_answer_that_is_not_json_is_a_json_parse_error() -> None:
    error = as_ai_function_error(MalformedError(ErrorKind.NOT_JSON, "found HTML"), "ai_query")
    assert str(error) == (
        "[AI_FUNCTION_JSON_PARSE_ERROR] Error occurred while parsing the JSON response for function ai_query: "
        "found HTML SQLSTATE: 22000"
    )


def test_an_answer_that_lacks_its_fields_is_an_invalid_http_response() -> None:
    error = as_ai_function_error(MalformedError(ErrorKind.INVALID_RESPONSE, "no text"), "ai_query")
    assert str(error) == (
        "[AI_FUNCTION_INVALID_HTTP_RESPONSE] Invalid HTTP response for function ai_query: no text SQLSTATE: 08000"
    )


def test_a_call_error_keeps_what_the_server_said() -> None:
    error = RejectedError(ErrorKind.RATE_LIMIT, "slow down", status=429, request_id="r-1", retry_after_s=2.5)
    assert (error.kind, error.status, error.request_id, error.retry_after_s, str(error)) == (
        ErrorKind.RATE_LIMIT,
        429,
        "r-1",
        2.5,
        "slow down",
    )


@pytest.mark.parametrize("call_error", [UnreachableError, RejectedError, MalformedError])
def test_every_failed_call_is_a_call_error_of_this_package(call_error: type[CallError]) -> None:
    assert issubclass(call_error, CallError)
    assert issubclass(call_error, GatewayBatchError)


def test_a_call_error_survives_pickling() -> None:
    error = RejectedError(ErrorKind.SERVER, "down", status=503, request_id="r", retry_after_s=1.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.kind, copy.status, copy.request_id, copy.retry_after_s) == (
        RejectedError,
        "down",
        ErrorKind.SERVER,
        503,
        "r",
        1.0,
    )


def test_an_ai_function_error_survives_pickling() -> None:
    error = AiFunctionError("WRONG_NUM_ARGS.WITHOUT_SUGGESTION", "Too many.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_kinds_are_the_closed_list_that_the_usage_table_is_grouped_by() -> None:
    assert {kind.value for kind in ErrorKind} == {
        "connect",
        "disconnect",
        "timeout",
        "deadline",
        "cancelled",
        "authentication",
        "permission",
        "not_found",
        "bad_request",
        "too_large",
        "quota",
        "conflict",
        "rate_limit",
        "server",
        "overloaded",
        "policy",
        "not_json",
        "invalid_response",
        "no_answer",
        "budget",
    }
