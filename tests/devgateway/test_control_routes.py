from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError

from .conftest import TOKEN, Post
from .raw import plain_socket, raw_request, status_of

CHAT = "mlflow/v1/chat/completions"


def ask(text: str, model: str = "databricks-gpt-5-4") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def test_stats_count_requests_statuses_services_and_prompts(gateway: RunningGateway, post: Post) -> None:
    for body in (ask("a"), ask("a"), ask("b"), ask("a", "main.default.support"), ask("c", "no-such")):
        post(CHAT, body)
    stats = gateway.stats()
    assert stats["requests"] == 5
    assert stats["by_status"] == {"200": 4, "404": 1}
    assert stats["by_service"] == {"system.ai.gpt-5-4": 3, "main.default.support": 1}
    assert stats["distinct_prompts"] == 2
    assert stats["in_flight"] == 0
    assert stats["ledger"] == str(gateway.ledger)


def test_stats_know_the_most_in_flight(gateway: RunningGateway) -> None:
    gateway.configure(latency_ms=600)
    with ExitStack() as stack:
        connections = [stack.enter_context(plain_socket(gateway)) for _ in range(6)]
        for number, connection in enumerate(connections):
            connection.sendall(raw_request(ask(f"{number}"), authorization=f"Bearer {TOKEN}"))
        assert [status_of(connection) for connection in connections] == [200] * 6
    assert gateway.stats()["max_in_flight"] == 6


def refused_by(gateway: RunningGateway, **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{gateway.host}/devgateway/settings"
    return httpx.post(url, json={"latency_ms": None}, headers=named, trust_env=False).status_code == 403


def test_what_a_page_of_another_site_sends_is_refused(open_gateway: RunningGateway) -> None:
    own = open_gateway.host
    assert not refused_by(open_gateway)
    assert not refused_by(open_gateway, origin=own, sec_fetch_site="same-origin")
    assert not refused_by(open_gateway, host=own.removeprefix("http://").replace("127.0.0.1", "localhost"))
    assert refused_by(open_gateway, origin="https://evil.example")
    assert refused_by(open_gateway, origin="null")
    assert refused_by(open_gateway, origin="http://127.0.0.1:1")
    assert refused_by(open_gateway, sec_fetch_site="cross-site")
    assert refused_by(open_gateway, host="evil.example", origin="http://evil.example")
    assert refused_by(open_gateway, host="evil.example", user_agent="Mozilla/5.0")
    assert not refused_by(open_gateway, host="evil.example")


def test_a_pattern_of_any_form_is_searched_in_linear_time(open_gateway: RunningGateway) -> None:
    open_gateway.configure(faults=[{"match": "(a+)+$", "status": 418}])
    try:
        model = "system.ai.gpt-5-4"
        answers = [
            httpx.post(f"{open_gateway.host}/ai-gateway/{CHAT}", json=ask(text, model), trust_env=False, timeout=30)
            for text in ("a" * 50_000 + "b", "b" + "a" * 50)
        ]
    finally:
        open_gateway.configure(faults=[])
    assert [answer.status_code for answer in answers] == [200, 418]


def test_reset_forgets_the_counts(gateway: RunningGateway, post: Post) -> None:
    post(CHAT, ask("a"))
    gateway.reset()
    stats = gateway.stats()
    assert (stats["requests"], stats["distinct_prompts"], stats["max_in_flight"]) == (0, 0, 0)
    assert (stats["by_status"], stats["by_service"]) == ({}, {})


def test_latency_can_be_changed_for_one_service(gateway: RunningGateway, post: Post) -> None:
    gateway.configure(service="databricks-gpt-5-5", latency_ms=400)
    slow = post(CHAT, ask("a", "system.ai.gpt-5-5"))
    assert slow.elapsed.total_seconds() >= 0.4
    quick = (post(CHAT, ask("a")).elapsed.total_seconds() for _ in range(20))
    assert any(took_s < 0.4 for took_s in quick)


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"latency_ms": -1}, "latency_ms"),
        ({"rpm": 0}, "rpm"),
        ({"speed": 1}, "speed"),
        ({"service": "no-such", "rpm": 1}, "no-such"),
        ({"service": 7}, "'service'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(gateway: RunningGateway, patch: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        gateway.configure(**patch)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"x"'])
def test_settings_that_are_no_object_are_refused(gateway: RunningGateway, http: httpx.Client, body: bytes) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert http.post("/devgateway/settings", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize(("method", "route"), [("GET", "stats"), ("POST", "reset"), ("POST", "settings")])
def test_control_routes_need_the_token(gateway: RunningGateway, http: httpx.Client, method: str, route: str) -> None:
    answer = http.request(method, f"/devgateway/{route}")
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_a_gateway_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    gone = RunningGateway(host="http://127.0.0.1:9", ledger=tmp_path, pid=0)
    with pytest.raises(ConfigError, match="does not answer"):
        gone.stats()
