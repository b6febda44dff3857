"""Columns that only a Databricks gateway's caller can fill, and what they leave open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway_batch.types import InferenceResult, Service
from gateway_batch.usage.attempts import Intents, note_destination, note_result
from gateway_batch.usage.databricks_columns import auth_mode, destination, requester_type, service_name

from .samples import CALLER, CHAT, record

HOST = "https://adb-1.azuredatabricks.net"
UNIFIED = f"{HOST}/ai-gateway/mlflow/v1/chat/completions"
SCORING = f"{HOST}/serving-endpoints/churn/invocations"
ELSEWHERE = "http://127.0.0.1:8000/v1/chat/completions"


def service(url: str, model: str) -> Service:
    return Service(endpoint="e", api="mlflow/v1/chat/completions", url=url, model=model)


@pytest.mark.parametrize(
    ("requester", "kind"),
    [
        ("6f1f6e6e-0c1d-4f4e-9b0c-1d5200aa11bb", "SERVICE_PRINCIPAL"),
        ("6F1F6E6E-0C1D-4F4E-9B0C-1D5200AA11BB", "SERVICE_PRINCIPAL"),
        ("ana@example.com", "USER"),
        ("6f1f6e6e-0c1d-4f4e-9b0c-1d5200aa11bb@example.com", "USER"),
        ("", None),
        (None, None),
    ],
)
def test_an_application_id_is_a_service_principal(requester: str | None, kind: str | None) -> None:
    assert requester_type(requester) == kind
    caller = replace(CALLER, requester=requester)
    assert Intents().record(caller, CHAT, {}, event_id="e", attempt=1, now=0.0).requester_type == kind


@pytest.mark.parametrize(
    ("url", "authorization", "mode"),
    [
        (UNIFIED, "Bearer dapi0123", "PAT"),
        (SCORING, "Bearer dapi0123", "PAT"),
        (UNIFIED, "Bearer eyJhbGciOi", None),
        (UNIFIED, None, None),
        (ELSEWHERE, "Bearer dapi0123", None),
    ],
)
def test_only_a_personal_access_token_tells_how_the_caller_authenticated(
    url: str, authorization: str | None, mode: str | None
) -> None:
    assert auth_mode(service(url, "m"), authorization) == mode
    row = Intents().record(CALLER, service(url, "m"), {}, event_id="e", attempt=1, now=0.0, authorization=authorization)
    assert row.auth_mode == mode
    assert "dapi0123" not in str(row)


@pytest.mark.parametrize(
    ("model", "name", "model_object"),
    [
        ("databricks-gpt-5-4", None, "system.ai.databricks-gpt-5-4"),
        ("system.ai.gpt-5-4", "system.ai.gpt-5-4", "system.ai.databricks-gpt-5-4"),
        ("system.ai.databricks-gte-large-en", "system.ai.databricks-gte-large-en", "system.ai.databricks-gte-large-en"),
        ("main.default.support", "main.default.support", None),
        ("support", None, None),
        ("databricks-a.b", None, None),
    ],
)
def test_what_answers_is_known_of_ready_made_services_alone(
    model: str, name: str | None, model_object: str | None
) -> None:
    kind = None if model_object is None else "PAY_PER_TOKEN_FOUNDATION_MODEL"
    called = service(UNIFIED, model)
    assert (service_name(called), destination(called)) == (name, (kind, model_object))
    assert (service_name(service(ELSEWHERE, model)), destination(service(ELSEWHERE, model))) == (None, (None, None))


def test_a_result_tells_that_the_call_was_routed_and_a_failure_does_not() -> None:
    row = record("e")
    note_result(row, InferenceResult(""))
    assert (row.destination_type, row.destination_name) == (None, None)
    note_destination(row, CHAT)
    assert (row.destination_type, row.destination_name) == (
        "PAY_PER_TOKEN_FOUNDATION_MODEL",
        "system.ai.databricks-gpt-5-4",
    )
