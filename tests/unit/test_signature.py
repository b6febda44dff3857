from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.signature import AI_QUERY, Constant, Constants, Signature


def refusal(positional: list[str], named: list[tuple[str, str]]) -> AiFunctionError:
    with pytest.raises(AiFunctionError) as caught:
        AI_QUERY.bind(positional, named)
    return caught.value


def test_the_parameters_are_these_in_this_order() -> None:
    assert AI_QUERY.parameters[:4] == ("endpoint", "request", "returnType", "failOnError")
    assert AI_QUERY.parameters[4:] == (
        "modelParameters",
        "responseFormat",
        "files",
        "requestTags",
        "api",
        "when",
        "details",
        "systemPrompt",
    )


def test_four_arguments_may_stand_in_order() -> None:
    assert AI_QUERY.bind(["e", "r", "t", "f"], []) == {
        "endpoint": "e",
        "request": "r",
        "returnType": "t",
        "failOnError": "f",
    }


def test_any_argument_may_be_named() -> None:
    assert AI_QUERY.bind([], [(name, name) for name in AI_QUERY.parameters]) == {
        name: name for name in AI_QUERY.parameters
    }


def test_names_stand_after_positions() -> None:
    assert AI_QUERY.bind(["e", "r"], [("modelParameters", "m")]) == {
        "endpoint": "e",
        "request": "r",
        "modelParameters": "m",
    }


def test_names_are_found_in_any_case() -> None:
    assert AI_QUERY.bind(["e", "r"], [("RETURNTYPE", "t"), ("failonerror", "f")]) == {
        "endpoint": "e",
        "request": "r",
        "returnType": "t",
        "failOnError": "f",
    }


def test_the_old_name_of_the_endpoint_is_understood() -> None:
    assert AI_QUERY.bind([], [("endpointName", "e"), ("request", "r")]) == {"endpoint": "e", "request": "r"}


def test_a_fifth_argument_needs_its_name() -> None:
    error = refusal(["e", "r", "t", "f", "m"], [])
    assert error.error_class == "WRONG_NUM_ARGS.WITHOUT_SUGGESTION"
    assert "2 to 4 positional arguments, but got 5" in error.message
    assert "modelParameters" in error.message


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    error = refusal(["e", "r"], [("retrunType", "t")])
    assert error.error_class == "UNRECOGNIZED_PARAMETER_NAME"
    assert "retrunType" in error.message
    assert "returnType" in error.message


@pytest.mark.parametrize(
    ("positional", "named"),
    [
        (["e", "r"], [("request", "x")]),
        (["e", "r"], [("endpointName", "x")]),
        (["e", "r"], [("api", "x"), ("API", "y")]),
        ([], [("endpoint", "e"), ("endpointName", "x"), ("request", "r")]),
    ],
)
def test_an_argument_given_twice_is_refused(positional: list[str], named: list[tuple[str, str]]) -> None:
    assert refusal(positional, named).error_class == "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT"


@pytest.mark.parametrize(
    ("positional", "named", "missing"),
    [([], [], "endpoint"), (["e"], [], "request"), ([], [("request", "r")], "endpoint")],
)
def test_a_missing_argument_is_named(positional: list[str], named: list[tuple[str, str]], missing: str) -> None:
    error = refusal(positional, named)
    assert error.error_class == "REQUIRED_PARAMETER_NOT_FOUND"
    assert error.message == f"ai_query needs its argument {missing}."


def test_a_function_without_further_names_says_only_how_many_it_takes() -> None:
    with pytest.raises(AiFunctionError) as caught:
        Signature("ai_gen", ("prompt",), required=1, positional=1).bind(["a", "b"], [])
    assert caught.value.message == "ai_gen takes 1 to 1 positional arguments, but got 2."


CONSTANTS = Constants(
    "f", {"text": Constant("x", "STRING"), "flag": Constant(True, "BOOLEAN"), "none": Constant(None, "VOID")}
)


def test_constants_are_read_by_their_types() -> None:
    assert CONSTANTS.text("text") == CONSTANTS.required_text("text") == "x"
    assert CONSTANTS.flag("flag", default=False) is True
    assert CONSTANTS.text("absent") is CONSTANTS.text("none") is None
    assert CONSTANTS.flag("none", default=False) is False
    assert CONSTANTS.integer("absent", default=50) == 50
    assert CONSTANTS.mapping("absent") == {}


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: CONSTANTS.text("flag"), "The argument flag of f must be STRING, not BOOLEAN."),
        (lambda: CONSTANTS.flag("text", default=True), "The argument text of f must be BOOLEAN, not STRING."),
        (lambda: CONSTANTS.integer("flag", default=1), "The argument flag of f must be INT, not BOOLEAN."),
        (lambda: CONSTANTS.mapping("text"), "The argument text of f must be MAP<STRING, STRING>, not STRING."),
        (lambda: CONSTANTS.required_text("none"), "The argument none of f must be STRING, not VOID."),
    ],
)
def test_a_constant_of_another_type_is_refused(read: Callable[[], object], message: str) -> None:
    with pytest.raises(AiFunctionError) as caught:
        read()
    assert caught.value.error_class == "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"
    assert caught.value.message == message
