"""Custom models' serving endpoints, which are next to the gateway's own routes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway_batch.devgateway import RunningGateway, ServiceSettings, Settings, create_app, running
from gateway_batch.devgateway.models.scores import score
from gateway_batch.errors import ConfigError

from .conftest import TOKEN, Rows

RECORD: dict[str, Any] = {"age": 41, "plan": "basic", "months": None}


def invoke(http: httpx.Client, body: Any, endpoint: str = "churn-scorer", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"authorization": f"Bearer {TOKEN}", **named}
    return http.post(f"/serving-endpoints/{endpoint}/invocations", json=body, headers=sent)


def test_each_record_has_a_score_that_depends_on_it_alone(gateway: RunningGateway, http: httpx.Client) -> None:
    others = [{**RECORD, "age": age} for age in range(20)]
    scores = invoke(http, {"dataframe_records": [RECORD, *others]}).json()["predictions"]
    assert all(isinstance(found, float) and 0 <= found <= 1 for found in scores)
    assert len(set(scores)) == 21
    assert invoke(http, {"dataframe_records": [RECORD]}).json() == {"predictions": scores[:1]}


def test_the_order_of_columns_does_not_matter(gateway: RunningGateway, http: httpx.Client) -> None:
    turned = dict(reversed(RECORD.items()))
    scores = invoke(http, {"dataframe_records": [RECORD, turned], "params": {"threshold": 0.5}}).json()["predictions"]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("digest", [b"\x00" * 8, b"\xff" * 8])
def test_a_score_stays_in_its_range(digest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        def digest(self) -> bytes:
            return digest

    monkeypatch.setattr("gateway_batch.devgateway.models.scores.blake2b", lambda *_, **__: Fixed())
    assert score("{}") in (0.0, 1.0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dataframe_records": []},
        {"dataframe_records": {"age": 41}},
        {"dataframe_records": [41]},
        {"dataframe_records": [RECORD], "params": 1},
        {"inputs": [RECORD]},
    ],
)
def test_what_holds_no_records_is_refused(gateway: RunningGateway, http: httpx.Client, body: Any) -> None:
    answer = invoke(http, body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_an_endpoint_that_is_not_there_is_refused_in_databricks_shape(
    gateway: RunningGateway, http: httpx.Client
) -> None:
    answer = invoke(http, {"dataframe_records": [RECORD]}, "nobody")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error_code", "message", "details"}


def test_a_custom_model_is_no_model_service(gateway: RunningGateway, http: httpx.Client) -> None:
    chat = {"model": "churn-scorer", "messages": [{"role": "user", "content": "Name a lake."}]}
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert http.post("/ai-gateway/mlflow/v1/chat/completions", json=chat, headers=headers).status_code == 400
    listed = http.get("/ai-gateway/openai/v1/models", headers=headers).json()["data"]
    assert "churn-scorer" not in {model["id"] for model in listed}


def test_it_wants_the_token(gateway: RunningGateway, http: httpx.Client) -> None:
    assert invoke(http, {"dataframe_records": [RECORD]}, authorization="Bearer wrong").status_code == 401


def test_a_call_is_counted_and_has_its_row(gateway: RunningGateway, http: httpx.Client, rows: Rows) -> None:
    event_id = uuid4().hex
    tags = {"databricks_ai_gateway_request_tags": '{"team": "risk"}'}
    invoke(http, {"dataframe_records": [RECORD]}, x_client_request_id=event_id, **tags)
    assert gateway.stats()["by_service"] == {"churn-scorer": 1}
    (row,) = rows(event_id)
    assert (row["endpoint_name"], row["api_type"], row["status_code"]) == ("churn-scorer", "mlflow/v1/invocations", 200)
    assert row["url"] == f"{gateway.host}/serving-endpoints/churn-scorer/invocations"
    assert (row["destination_name"], row["destination_type"]) == ("churn-scorer", None)
    assert [row[f"{kind}_tokens"] for kind in ("input", "output", "total")] == [None, None, None]
    assert json.loads(row["request_tags"]) == {"team": "risk"}


def test_faults_are_scripted_by_the_record(gateway: RunningGateway, http: httpx.Client) -> None:
    gateway.configure(faults=[{"match": '"age":13', "status": 503}, {"match": '"age":14', "policy": True}])
    assert invoke(http, {"dataframe_records": [{"age": 13}]}).status_code == 503
    denied = invoke(http, {"dataframe_records": [{"age": 14}]}).json()
    assert (denied["predictions"], denied["databricks_service_policy"]["action"]) == ([], "deny")
    assert invoke(http, {"dataframe_records": [{"age": 15}]}).status_code == 200


def test_settings_may_list_endpoints_and_change_the_example() -> None:
    services = {"risk_2": ServiceSettings.model_validate({"kind": "scoring"}), "churn-scorer": ServiceSettings(rpm=1)}
    with running(Settings(port=0, services=services)) as gateway, httpx.Client(base_url=gateway.host) as http:
        body = {"dataframe_records": [RECORD]}
        assert invoke(http, body, "risk_2").status_code == 200
        assert [invoke(http, body).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("name", ["main.default.scorer", "a b", "", "x" * 64])
def test_an_endpoint_has_a_name_of_one_part(name: str, tmp_path: Path) -> None:
    services = {name: ServiceSettings.model_validate({"kind": "scoring"})}
    with pytest.raises(ConfigError, match="no serving endpoint's name"):
        create_app(Settings(services=services, ledger=tmp_path / "ledger.sqlite"))
