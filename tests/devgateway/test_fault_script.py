from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from pydantic import ValidationError

from gateway_batch.devgateway import Fault, RunningGateway
from gateway_batch.devgateway.faults import Script
from gateway_batch.errors import ConfigError

from .conftest import Post, Rows

CHAT = "mlflow/v1/chat/completions"
ASK: dict[str, Any] = {"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "Name a lake."}]}


def about(text: str) -> dict[str, Any]:
    return {**ASK, "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504])
def test_a_status_is_answered_and_recorded(gateway: RunningGateway, post: Post, rows: Rows, status: int) -> None:
    gateway.configure(faults=[{"status": status}])
    event_id = uuid4().hex
    answer = post(CHAT, ASK, x_client_request_id=event_id)
    assert answer.status_code == status
    assert answer.json()["error_code"]
    (row,) = rows(event_id)
    assert (row["status_code"], row["total_tokens"], row["request_id"]) == (
        status,
        None,
        answer.headers["x-request-id"],
    )


def test_error_code_message_and_retry_after_can_be_chosen(gateway: RunningGateway, post: Post) -> None:
    fault = {"status": 429, "retry_after": 2, "error_code": "RATE_LIMIT_EXCEEDED", "message": "Not now."}
    gateway.configure(faults=[fault])
    answer = post(CHAT, ASK)
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error_code"] == "RATE_LIMIT_EXCEEDED"
    assert answer.json()["message"] == answer.json()["error"]["message"] == "Not now."


def test_a_disconnect_gives_no_answer_and_a_row_without_a_status(
    gateway: RunningGateway, post: Post, rows: Rows
) -> None:
    gateway.configure(faults=[{"disconnect": True, "times": 1}])
    event_id = uuid4().hex
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        post(CHAT, ASK, x_client_request_id=event_id)
    (row,) = rows(event_id)
    assert (row["status_code"], row["total_tokens"], row["time_to_first_byte_ms"]) == (None, None, None)
    assert row["destination_model"] == "gpt-5-4"
    assert post(CHAT, ASK).status_code == 200
    assert gateway.stats()["by_status"] == {"none": 1, "200": 1}


def test_a_truncated_answer_ends_in_the_middle_and_is_recorded_as_answered(
    gateway: RunningGateway, post: Post, rows: Rows
) -> None:
    gateway.configure(faults=[{"truncate": True, "times": 1}])
    event_id = uuid4().hex
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        post(CHAT, ASK, x_client_request_id=event_id)
    (row,) = rows(event_id)
    assert (row["status_code"], row["total_tokens"]) == (200, 19)


def test_a_truncated_stream_ends_in_the_middle(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    gateway.configure(faults=[{"truncate": True, "times": 1}])
    event_id = uuid4().hex
    with pytest.raises(httpx.RemoteProtocolError):
        post(CHAT, {**ASK, "stream": True}, x_client_request_id=event_id)
    assert [row["status_code"] for row in rows(event_id)] == [200]


def test_an_answer_that_is_no_json(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    gateway.configure(faults=[{"not_json": True}])
    event_id = uuid4().hex
    answer = post(CHAT, ASK, x_client_request_id=event_id)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text.startswith("<!doctype html>")
    assert [(row["status_code"], row["total_tokens"]) for row in rows(event_id)] == [(200, None)]


def test_a_policy_denial_is_a_200_that_names_the_policy(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    gateway.configure(faults=[{"policy": True, "message": "No lakes."}])
    event_id = uuid4().hex
    answer = post(CHAT, ASK, x_client_request_id=event_id)
    body = answer.json()
    assert answer.status_code == 200
    assert body["id"] == "databricks-guardrail-block"
    assert body["choices"][0]["finish_reason"] == "content_filter"
    assert set(body["usage"].values()) == {0}
    assert body["databricks_service_policy"] == {
        "name": "stand-in-policy",
        "action": "deny",
        "phase": "pre_call",
        "reason": "No lakes.",
    }
    assert [(row["status_code"], row["total_tokens"]) for row in rows(event_id)] == [(200, 0)]


def test_a_policy_denial_has_each_apis_own_shape(
    gateway: RunningGateway, claude: anthropic.Anthropic, native: openai.OpenAI, post: Post
) -> None:
    gateway.configure(faults=[{"policy": True}])
    ask: Any = ASK
    assert claude.messages.create(**ask, max_tokens=9).stop_reason == "refusal"
    denied = native.responses.create(model="databricks-gpt-5-4", input="x")
    assert denied.incomplete_details is not None
    assert denied.incomplete_details.reason == "content_filter"
    gemini = post("gemini/v1/models/databricks-gpt-5-4:generateContent", {"contents": [{"parts": [{"text": "x"}]}]})
    assert gemini.json()["candidates"][0]["finishReason"] == "SAFETY"
    embedded = post("mlflow/v1/embeddings", {"model": "databricks-gte-large-en", "input": "x"}).json()
    assert (embedded["data"], embedded["databricks_service_policy"]["action"]) == ([], "deny")


def test_latency_alone_only_slows_down(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    gateway.configure(faults=[{"match": "slow", "latency_ms": 200}])
    event_id = uuid4().hex
    started = time.perf_counter()
    assert post(CHAT, about("slow lake"), x_client_request_id=event_id).status_code == 200
    assert time.perf_counter() - started >= 0.2
    (row,) = rows(event_id)
    assert row["latency_ms"] >= 200
    assert row["time_to_first_byte_ms"] >= 200


def test_a_real_services_answer_is_played_by_its_name(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    gateway.configure(
        faults=[
            {"match": "lake", "answer": "anthropic-overloaded", "headers": {"retry-after": "2"}},
            {"match": "sea", "answer": "xai-reasoning-outside-completion"},
            {"match": "bay", "answer": "nginx-bad-gateway"},
            {"match": "pond", "answer": "empty-answer"},
        ]
    )
    overloaded, answered, page, empty = (post(CHAT, about(text)) for text in ("a lake", "a sea", "a bay", "a pond"))
    assert (overloaded.status_code, overloaded.headers["request-id"], overloaded.headers["retry-after"]) == (
        529,
        "req_b4",
        "2",
    )
    assert overloaded.json()["error"]["type"] == "overloaded_error"
    assert answered.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 386
    assert (page.status_code, page.headers["content-type"], page.text[:6]) == (502, "text/html", "<html>")
    assert page.headers["server"] == "nginx/1.27.0"
    assert (empty.status_code, empty.content, "content-type" in empty.headers) == (200, b"", False)
    event_id = uuid4().hex
    post(CHAT, about("a sea"), x_client_request_id=event_id)
    assert [(row["status_code"], row["total_tokens"]) for row in rows(event_id)] == [(200, 399)]
    with pytest.raises(ConfigError, match=r"no real answer 'anthropic-overload'; near it: anthropic-overloaded"):
        gateway.configure(faults=[{"answer": "anthropic-overload"}])


def test_a_rule_can_match_prompts_and_run_out(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(faults=[{"match": "lake$", "times": 1, "status": 503}, {"match": "river", "status": 500}])
    said = [post(CHAT, about(text)).status_code for text in ("a lake", "a lake", "a river", "a sea", "a river")]
    assert said == [503, 200, 500, 200, 500]


def test_a_rule_can_be_for_the_first_request_of_each_prompt(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(faults=[{"times_per_prompt": 1, "status": 503}])
    said = [post(CHAT, about(text)).status_code for text in ("a", "b", "a", "b")]
    assert said == [503, 503, 200, 200]


def test_a_services_own_script_decides_first(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(faults=[{"status": 500}])
    gateway.configure(service="databricks-gpt-5-5", faults=[{"status": 503, "times": 1}])
    other = {**ASK, "model": "system.ai.gpt-5-5"}
    assert [post(CHAT, body).status_code for body in (other, other, ASK)] == [503, 500, 500]


def test_an_answer_may_have_any_headers_and_token_counts(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(faults=[{"tokens": 2**63 - 1, "headers": {"x-name": "café", "retry-after": "never"}}])
    answer = post(CHAT, ASK)
    assert answer.json()["usage"]["completion_tokens"] == 2**63 - 1
    assert (b"x-name", "café".encode("latin-1")) in answer.headers.raw
    assert gateway.stats()["requests"] == 1
    gateway.configure(faults=[{"status": 429, "retry_after": 1, "headers": {"retry-after": "1e308"}}])
    refusal = post(CHAT, ASK)
    assert (refusal.status_code, refusal.headers["retry-after"]) == (429, "1e308")


def test_reset_starts_the_script_again(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(faults=[{"status": 503, "times": 1}])
    assert [post(CHAT, ASK).status_code for _ in range(2)] == [503, 200]
    gateway.reset()
    assert post(CHAT, ASK).status_code == 503


def test_a_share_is_about_that_share_and_repeats_itself() -> None:
    script = Script((Fault(share=0.05, status=500),))
    hit = [script.pick(f"row {number}", 0) is not None for number in range(4000)]
    again = [Script(script.rules).pick(f"row {number}", 0) is not None for number in reversed(range(4000))]
    assert 150 < sum(hit) < 250
    assert hit == again[::-1]


def test_a_share_is_decided_anew_for_each_request_of_a_prompt() -> None:
    script = Script((Fault(share=0.5, status=500),))
    assert len({script.pick("row", seen) is None for seen in range(20)}) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"match": "x"},
        {"status": 200},
        {"status": 500, "disconnect": True},
        {"status": 500, "answer": "openai-rate-limit"},
        {"answer": "no such"},
        {"status": 500, "match": "("},
        {"status": 500, "share": 2},
        {"status": 500, "often": True},
    ],
)
def test_rules_that_make_no_sense_are_refused(gateway: RunningGateway, fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate(fault)
    with pytest.raises(ConfigError, match="faults"):
        gateway.configure(faults=[fault])
