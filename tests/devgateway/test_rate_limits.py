from __future__ import annotations

from typing import Any

import openai
import pytest

from gateway_batch.devgateway import RunningGateway
from gateway_batch.devgateway.limits import Meter
from gateway_batch.devgateway.refusals import Refusal

from .conftest import Post, Rows

CHAT = "mlflow/v1/chat/completions"
ASK: dict[str, Any] = {"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "Name a lake."}]}


def test_requests_over_the_limit_get_429_with_the_headers(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(rpm=3)
    answers = [post(CHAT, ASK) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert "3" in answers[-1].json()["message"]
    headers = answers[-1].headers
    assert 1 <= int(headers["retry-after"]) <= 20
    assert headers["x-ratelimit-limit-requests"] == "3"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < float(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert headers["x-databricks-quota-name"] == "system.ai.gpt-5-4-requests-per-minute"
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "2"


def test_tokens_over_the_limit_get_429_with_the_headers(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(tpm=10)
    answers = [post(CHAT, ASK) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["x-ratelimit-limit-tokens"] == "10"
    assert int(answers[1].headers["retry-after"]) >= 1


def test_a_refused_request_has_a_row_without_tokens_and_destination(
    gateway: RunningGateway, post: Post, rows: Rows
) -> None:
    gateway.configure(rpm=1)
    post(CHAT, ASK)
    refused = post(CHAT, ASK)
    (row,) = [row for row in rows(None) if row["request_id"] == refused.headers["x-request-id"]]
    assert (row["status_code"], row["total_tokens"], row["destination_name"]) == (429, None, None)
    assert row["endpoint_name"] == "databricks-gpt-5-4"


def test_a_services_own_limit_stands_for_it_alone(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(service="system.ai.gpt-5-5", rpm=1)
    other = {**ASK, "model": "databricks-gpt-5-5"}
    assert [post(CHAT, other).status_code for _ in range(2)] == [200, 429]
    assert [post(CHAT, ASK).status_code for _ in range(3)] == [200, 200, 200]


def test_both_forms_of_a_name_share_a_limit(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(rpm=1)
    assert post(CHAT, ASK).status_code == 200
    assert post(CHAT, {**ASK, "model": "system.ai.gpt-5-4"}).status_code == 429


def test_the_openai_sdk_sees_a_rate_limit_error(gateway: RunningGateway, unified: openai.OpenAI) -> None:
    gateway.configure(rpm=1)
    unified.chat.completions.create(**ASK)
    with pytest.raises(openai.RateLimitError, match="Exceeded requests per minute"):
        unified.chat.completions.create(**ASK)


def test_reset_fills_the_buckets(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(rpm=1)
    assert post(CHAT, ASK).status_code == 200
    gateway.reset()
    assert post(CHAT, ASK).status_code == 200


def test_a_bucket_refills_evenly_over_a_minute() -> None:
    meter = Meter(rpm=60, tpm=None, now=0.0)
    for _ in range(60):
        meter.admit("s", 0.0)
    with pytest.raises(Refusal) as refused:
        meter.admit("s", 0.5)
    assert refused.value.headers["retry-after"] == "1"
    meter.admit("s", 1.0)
    with pytest.raises(Refusal):
        meter.admit("s", 1.9)
    meter.admit("s", 2.0)


def test_a_bucket_never_holds_more_than_a_minute() -> None:
    meter = Meter(rpm=2, tpm=None, now=0.0)
    meter.admit("s", 1000.0)
    meter.admit("s", 1000.0)
    with pytest.raises(Refusal):
        meter.admit("s", 1000.0)


def test_tokens_are_booked_after_the_answer_and_paid_back_over_time() -> None:
    meter = Meter(rpm=None, tpm=60, now=0.0)
    meter.admit("s", 0.0)
    meter.admit("s", 0.0)
    meter.book(90)
    with pytest.raises(Refusal) as refused:
        meter.admit("s", 0.0)
    assert refused.value.headers["retry-after"] == "31"
    meter.admit("s", 31.0)
