from __future__ import annotations

import pytest

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.model_parameters import check_model_parameters

CHAT, EMBEDDINGS = "mlflow/v1/chat/completions", "mlflow/v1/embeddings"


def invalid(parameters: object, api: str = CHAT) -> AiFunctionError:
    with pytest.raises(AiFunctionError) as caught:
        check_model_parameters(parameters, "my-endpoint", api)
    assert caught.value.error_class.startswith("AI_FUNCTION_INVALID_MODEL_PARAMETERS.")
    assert caught.value.sqlstate == "22023"
    return caught.value


def test_parameters_are_sent_as_they_are_and_nulls_are_not() -> None:
    parameters = {
        "temperature": 0,
        "top_p": 1.0,
        "max_tokens": 1,
        "stop": ["\n"],
        "reasoning": {"effort": None},
        "seed": None,
        "temperature_": "free",
    }
    sent = check_model_parameters(parameters, "e", CHAT)
    assert sent == {name: value for name, value in parameters.items() if name != "seed"}


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n"])
def test_what_the_call_itself_says_is_no_parameter_of_a_chat(name: str) -> None:
    error = invalid({"temperature": 0.5, name: "x"})
    assert error.error_class.endswith(".FOUND_RESERVED_PARAMETER_NAME")
    assert error.message.endswith(f'The "{name}" parameter should be specified in the "request" argument of AI_QUERY.')


@pytest.mark.parametrize("name", ["model", "input"])
def test_what_the_call_itself_says_is_no_parameter_of_embeddings(name: str) -> None:
    assert invalid({name: "x"}, EMBEDDINGS).error_class.endswith(".FOUND_RESERVED_PARAMETER_NAME")


def test_what_is_reserved_for_one_task_may_be_a_parameter_of_the_other() -> None:
    assert check_model_parameters({"input": 1}, "e", CHAT) == {"input": 1}
    assert check_model_parameters({"dimensions": 3, "messages": 1}, "e", EMBEDDINGS) == {
        "dimensions": 3,
        "messages": 1,
    }


@pytest.mark.parametrize(
    ("name", "value", "constraint"),
    [
        ("temperature", -0.1, "at least 0"),
        ("temperature", float("nan"), "at least 0"),
        ("top_p", 1.01, "between 0 and 1"),
        ("top_p", -1, "between 0 and 1"),
        ("max_tokens", 0, "at least 1"),
    ],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: float, constraint: str) -> None:
    error = invalid({name: value})
    assert error.error_class.endswith(".INVALID_NUMERIC_PARAMETER")
    assert error.message.endswith(
        f'The "{name}" parameter must be {constraint} for the modelParameters argument of AI_QUERY.'
    )


@pytest.mark.parametrize(
    ("name", "value", "expected", "found"),
    [
        ("temperature", "0.5", "DOUBLE", '"0.5"'),
        ("temperature", True, "DOUBLE", "true"),
        ("max_tokens", 1.5, "INT", "1.5"),
        ("max_tokens", False, "INT", "false"),
        ("stop", "x", "ARRAY<STRING>", '"x"'),
        ("stop", [1], "ARRAY<STRING>", "[1]"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(name: str, value: object, expected: str, found: str) -> None:
    error = invalid({name: value})
    assert error.error_class.endswith(".INVALID_PARAMETER_DATA_TYPE")
    assert error.message.endswith(
        f'The "{name}" parameter has invalid data type. Expected "{expected}" data type but found {found}.'
    )


@pytest.mark.parametrize("parameters", ["temperature", 1, [], True])
def test_parameters_that_are_no_struct_are_refused(parameters: object) -> None:
    error = invalid(parameters)
    assert error.error_class.endswith(".INVALID_PARAMETER_DATA_TYPE")
    assert "named_struct" in error.message


def test_a_refusal_shows_the_parameters_as_json_and_names_the_endpoint() -> None:
    assert invalid({"stop": "ü", "top_p": None}).message.startswith(
        'The provided model parameters ({"stop": "ü", "top_p": null}) are invalid in the AI_QUERY function for serving '
        'endpoint "my-endpoint". '
    )


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("openai/v1/responses", "stop"),
        ("mlflow/v1/responses", "n"),
        ("anthropic/v1/messages", "seed"),
        ("gemini/v1/generateContent", "logit_bias"),
    ],
)
def test_what_an_api_has_no_word_for_is_refused(api: str, name: str) -> None:
    error = invalid({name: "x"}, api)
    assert error.error_class.endswith(".UNSUPPORTED_MODEL_PARAMETER")
    assert f'The "{name}" parameter is not supported for the serving endpoint. ' in error.message


@pytest.mark.parametrize("parameters", [{}, {"threshold": 0.5}])
def test_a_custom_model_takes_no_parameters(parameters: dict[str, float]) -> None:
    error = invalid(parameters, "mlflow/v1/invocations")
    assert error.error_class.endswith(".UNSUPPORTED_ENDPOINT_TYPE")
    assert error.message.endswith("does not support the modelParameters argument for custom model endpoint.")


def test_a_map_is_no_struct() -> None:
    with pytest.raises(AiFunctionError, match=r"INVALID_PARAMETER_DATA_TYPE.*Expected \"STRUCT\" data type"):
        check_model_parameters({"temperature": 0.5}, "e", CHAT, is_struct=False)
