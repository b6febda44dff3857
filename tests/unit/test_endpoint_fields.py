"""Headers, key header, query, time limit and tags of an endpoint: what is refused, what is sent, what is hidden."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from gateway_batch import Client
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.config.effective import effective
from gateway_batch.errors import CallError, ConfigError
from gateway_batch.response_cache import KeyMaker
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, Service, TagsIn
from tests.unit.client_bench import Bench, embed
from tests.unit.executor_bench import DOWN

from .samples import chat_reply, reply

OTHERS = "https://models.example/v1"
TAGS = "Databricks-Ai-Gateway-Request-Tags"
SOURCE = "x-gateway-batch-source"
PLANTED = "PLANTED0123456789"


def service(api: str | None = None, **entry: Any) -> Service:
    settings = {"base_url": OTHERS, "model": "m", **entry}
    config = GatewayConfig.from_env(host="https://h", token="dapi-host", endpoints={"mine": settings})
    return resolve_service(config, "mine", api)


def refusal(**entry: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        service(**entry)
    message = str(caught.value)
    assert "\n" not in message
    assert PLANTED not in message
    assert PLANTED not in f"{caught.value.__cause__}"
    return message


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("headers", "Authorization", f"Bearer {PLANTED}"),
        ("headers", "Proxy-Authorization", f"Basic {PLANTED}"),
        ("headers", "X-API-Key", PLANTED),
        ("headers", "api-key", PLANTED),
        ("headers", "x-goog-api-key", PLANTED),
        ("headers", "Ocp-Apim-Subscription-Key", PLANTED),
        ("headers", "x-portkey-api-key", PLANTED),
        ("headers", "Cookie", f"session={PLANTED}"),
        ("headers", "x-amz-security-token", PLANTED),
        ("headers", "X-ApiToken", PLANTED),
        ("headers", "x-client-secret", PLANTED),
        ("headers", "cf-aig-authorization", PLANTED),
        ("headers", "x-portkey-virtual-key", PLANTED),
        ("headers", "x-accesskey", PLANTED),
        ("headers", "x-apikey-next", PLANTED),
        ("headers", "x-key2", PLANTED),
        ("headers", "x-note", f"sk-{PLANTED}"),
        ("headers", "x-note", f"Bearer {PLANTED}"),
        ("query", "key", PLANTED),
        ("query", "subscription-key", PLANTED),
        ("query", "accessToken", PLANTED),
        ("query", "sig", PLANTED),
        ("query", "note", f"dapi{PLANTED}"),
    ],
)
def test_a_secret_in_clear_is_refused_with_the_way_to_refer_to_it(field: str, name: str, value: str) -> None:
    message = refusal(**{field: {name: value}})
    assert message.startswith(f"endpoints.mine.{field}: {name if field == 'query' else name.lower()} carries a secret")
    assert "env:NAME or file:PATH" in message


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"headers": {"x-a": f"{PLANTED}\r\nx-b: 1"}}, "headers: x-a: the value"),
        ({"headers": {"x-a": f"{PLANTED}\n"}}, "headers: x-a: the value"),
        ({"headers": {"x-a": ""}}, "headers: x-a: the value is empty"),
        ({"headers": {"x-a": f" {PLANTED}"}}, "headers: x-a: the value"),
        ({"headers": {"x-a": f"{PLANTED}é"}}, "headers: x-a: the value"),
        ({"headers": {"x-a": PLANTED * 1_000}}, "headers: x-a: the value is empty, longer than 8192"),
        ({"headers": {"x a": "1"}}, "headers: 'x a' is not the name of an HTTP header"),
        ({"headers": {"x-a\r\nx-b": "1"}}, "is not the name of an HTTP header"),
        ({"headers": {"": "1"}}, "headers: '' is not the name of an HTTP header"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers: x-a is given twice"),
        ({"headers": {f"x-{number}": "1" for number in range(65)}}, "headers: has 65 entries; 64 are the most"),
        ({"headers": {"x-a": 1}}, "headers.x-a: Input should be a valid string"),
        ({"headers": {"x-a": "env:"}}, "headers: x-a: env: names nothing"),
        ({"headers": {"x-a": "secret:scope/key"}}, "headers: x-a: Databricks secret references are not supported yet"),
        *(
            ({"headers": {name: "1"}}, f"headers: {name.lower()} is ")
            for name in ("Content-Length", "host", "Content-Type", "content-encoding", "Accept-Encoding", "user-agent")
        ),
        *(
            ({"headers": {name: "1"}}, f"headers: {name.lower()} is ")
            for name in ("Connection", "transfer-encoding", "upgrade", "te", "x-client-request-id", TAGS, SOURCE)
        ),
        ({"query": {"a b": "1"}}, "query: 'a b' is not the name of a query parameter"),
        ({"query": {"": "1"}}, "query: '' is not the name of a query parameter"),
        ({"query": {"a": f"{PLANTED}\n"}}, "query: a: the value"),
        ({"key_header": "content-type", "token": "env:K"}, "key_header: content-type is set for each request"),
        ({"key_header": "x key", "token": "env:K"}, "key_header: 'x key' is not the name of an HTTP header"),
        ({"key_header": "x-api-key"}, "key_header is x-api-key, and there is no token for it to carry"),
        (
            {"key_header": "X-Api-Key", "token": "env:K", "headers": {"x-api-key": "env:K"}},
            "x-api-key carries the token, and is in headers, too",
        ),
        (
            {"token": "env:K", "headers": {"Authorization": "Bearer env:K"}},
            "authorization carries the token, and is in headers, too",
        ),
        (
            {"base_url": None, "headers": {"authorization": "Bearer env:K"}},
            "authorization carries the token, and is in headers, too",
        ),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"timeout": float("inf")}, "timeout: Input should be less than or equal to 86400"),
        ({"tags_in": "body"}, "tags_in: Input should be 'header', 'metadata', 'metadata.tags', 'user' or 'none'"),
        ({"tags_in": "metadata", "api": "anthropic/v1/messages"}, "it has header, user, none"),
        ({"tags_in": "user", "api": "gemini/v1/generateContent"}, "it has header, none"),
        ({"tags_in": "metadata.tags", "api": "mlflow/v1/invocations"}, "it has header, none"),
    ],
)
def test_what_no_request_can_carry_is_refused(entry: dict[str, Any], says: str) -> None:
    message = refusal(**entry)
    assert says in message
    assert message.startswith(("endpoints.mine.", "endpoint mine: "))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anthropic-beta", "context-1m-2025-08-07"),
        ("OpenAI-Organization", "org-1234567890123456789"),
        ("x-max-tokens", "64"),
        ("x-author", "ana"),
        ("x-portkey-provider", "openai"),
        ("x-oauth-scopes", "all"),
        ("HTTP-Referer", "https://example.com"),
        ("x-api-key", "env:KEY"),
        ("authorization", "Bearer env:KEY"),
        ("cookie", "file:/run/cookie"),
    ],
)
def test_what_is_no_secret_or_refers_to_one_is_taken(name: str, value: str) -> None:
    assert service(headers={name: value}).headers == ((name.lower(), value),)


@pytest.mark.parametrize(
    ("base_url", "tags_in"),
    [
        (None, "header"),
        ("https://dbc-1.cloud.databricks.com/serving-endpoints", "header"),
        ("https://adb-1.2.azuredatabricks.net/x", "header"),
        ("https://ours.databricksapps.com/v1", "header"),
        ("https://proxy.example/ai-gateway/mlflow/v1", "header"),
        ("https://proxy.example/serving-endpoints", "header"),
        ("http://127.0.0.1:8080/v1", "header"),
        ("http://localhost:4000/v1", "header"),
        ("http://[::1]:4000/v1", "header"),
        ("https://api.openai.com/v1", "none"),
        ("https://api.anthropic.com/v1", "none"),
        ("https://generativelanguage.googleapis.com/v1beta", "none"),
        ("https://my.openai.azure.com/openai/deployments/d", "none"),
        ("https://litellm.example/v1", "none"),
        ("https://databricks.com.example/v1", "none"),
        ("https://notdatabricks.com/v1", "none"),
        ("https://gateway.example/my-ai-gateway/v1", "none"),
        ("http://10.0.0.1:4000/v1", "none"),
    ],
)
def test_the_header_of_tags_is_for_gateways_that_know_it(base_url: str | None, tags_in: str) -> None:
    assert service(base_url=base_url, api="openai/v1/chat/completions").tags_in == tags_in


CHAT, RESPONSES, EMBEDDINGS = "openai/v1/chat/completions", "openai/v1/responses", "openai/v1/embeddings"
WRITTEN = '{"team": "search", "step": "1"}'


@pytest.mark.parametrize(
    ("tags_in", "api", "given", "sent"),
    [
        ("none", CHAT, {}, {}),
        ("metadata", CHAT, {}, {"metadata": {"team": "search", "step": "1"}}),
        ("metadata", RESPONSES, {}, {"metadata": {"team": "search", "step": "1"}}),
        ("metadata", EMBEDDINGS, {}, {"metadata": {"team": "search", "step": "1"}}),
        ("metadata.tags", CHAT, {}, {"metadata": {"tags": ["team:search", "step:1"]}}),
        ("metadata.tags", CHAT, {"metadata": {"a": 1}}, {"metadata": {"tags": ["team:search", "step:1"], "a": 1}}),
        ("metadata", CHAT, {"metadata": {"team": "own"}}, {"metadata": {"team": "own", "step": "1"}}),
        ("user", CHAT, {}, {"user": WRITTEN}),
        ("user", CHAT, {"user": "ana"}, {"user": "ana"}),
        ("user", EMBEDDINGS, {}, {"user": WRITTEN}),
        ("user", "anthropic/v1/messages", {}, {"metadata": {"user_id": WRITTEN}}),
    ],
)
def test_tags_are_where_the_setting_says(
    bench: Bench, tags_in: str, api: str, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    async def answer(request: HttpRequest) -> HttpReply:
        if api == EMBEDDINGS:
            return await embed(request)
        text = [{"type": "output_text", "text": "x"}]
        return reply(
            200,
            {
                "choices": [{"message": {"content": "x"}}],
                "output": [{"content": text}],
                "content": [{"type": "text", "text": "x"}],
            },
        )

    entry = {"base_url": OTHERS, "model": "m", "api": api, "tags_in": tags_in}
    client = bench.open(answer, endpoints={"mine": entry}, request_tags={"team": "search"})
    call = client.embed if api == EMBEDDINGS else client.query
    call("mine", ["hi"] if api == EMBEDDINGS else "hi", model_parameters=given, request_tags={"step": "1"})  # type: ignore[arg-type]
    body, headers = bench.body(), bench.sent[0].headers
    assert {name: body[name] for name in ("metadata", "user") if name in body} == sent
    assert not {TAGS, SOURCE} & headers.keys()
    assert headers["x-client-request-id"]
    assert bench.rows()[0]["request_tags"] == {"team": "search", "step": "1"}


@pytest.mark.parametrize(("tags_in", "in_body"), [("metadata", True), ("none", False), ("header", False)])
def test_the_event_id_of_each_attempt_is_where_tags_are(bench: Bench, tags_in: str, in_body: bool) -> None:
    replies = [DOWN, chat_reply("x")]

    async def answer(_: HttpRequest) -> HttpReply:
        return replies.pop(0)

    entry = {"base_url": OTHERS, "model": "m", "tags_in": tags_in, "query": {"v": "1"}}
    bench.open(answer, endpoints={"mine": entry}, event_id_tag="event").query("mine", "hi")
    assert [request.url for request in bench.sent] == [f"{OTHERS}/chat/completions?v=1"] * 2
    tags = [
        json.loads(request.body).get("metadata", {}) if in_body else json.loads(request.headers.get(TAGS, "{}"))
        for request in bench.sent
    ]
    ids = [request.headers["x-client-request-id"] for request in bench.sent]
    assert tags == ([{}, {}] if tags_in == "none" else [{"event": each} for each in ids])


def test_headers_query_and_token_are_sent_and_recorded_nowhere(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUBSCRIPTION", f"{PLANTED}-sub")
    monkeypatch.setenv("SESSION", f"a=1; session={PLANTED}-cookie")
    (tmp_path / "signature").write_text(f"{PLANTED}/sig+1\n")
    entry = {
        "base_url": OTHERS,
        "model": "m",
        "api": "anthropic/v1/messages",
        "token": "env:SUBSCRIPTION",
        "key_header": "Api-Key",
        "headers": {
            "Anthropic-Version": "2024-01-01",
            "anthropic-beta": "a,b",
            "authorization": "Bearer env:SUBSCRIPTION",
            "Cookie": "env:SESSION",
        },
        "query": {"api-version": "2024-10-21 preview&x=1", "sig": f"file:{tmp_path / 'signature'}"},
    }

    async def answer(_: HttpRequest) -> HttpReply:
        return reply(200, {"content": [{"type": "text", "text": "x"}], "model": f"for {PLANTED}-cookie"})

    client = bench.open(answer, endpoints={"mine": entry})
    assert client.query("mine", "hi", details=True).model == "for ***"
    (sent,) = bench.sent
    assert sent.url == f"{OTHERS}/messages?api-version=2024-10-21%20preview%26x%3D1&sig={PLANTED}%2Fsig%2B1"
    assert sent.query_is_secret
    shown = {name: value for name, value in sent.headers.items() if name != "x-client-request-id"}
    assert shown == {
        "anthropic-version": "2024-01-01",
        "anthropic-beta": "a,b",
        "api-key": f"{PLANTED}-sub",
        "authorization": f"Bearer {PLANTED}-sub",
        "cookie": f"a=1; session={PLANTED}-cookie",
    }
    (row,) = bench.rows()
    assert row["url"] == f"{OTHERS}/messages"
    seen = f"{vars(client)} {client.config!r} {client.config.model_dump_json()} {effective(client.config)} {row}"
    assert PLANTED not in seen
    assert PLANTED.encode() not in pickle.dumps(resolve_service(client.config, "mine"))


@pytest.mark.parametrize("missing", ["env:NOT_SET", "file:/nowhere/at/all", "Bearer env:NOT_SET"])
def test_a_reference_to_nothing_sends_nothing(bench: Bench, missing: str) -> None:
    client = bench.open(endpoints={"mine": {"base_url": OTHERS, "headers": {"x-api-key": missing}}})
    with pytest.raises(ConfigError, match=r"^no value: (the environment variable NOT_SET|/nowhere/at/all)"):
        client.query("mine", "hi")
    assert bench.sent == []


@pytest.mark.parametrize("value", [f"{PLANTED}\n{PLANTED}", f"{PLANTED}é", f" {PLANTED}"])
def test_a_secret_that_no_header_can_carry_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KEY", value)
    assert refusal(headers={"x-api-key": "env:KEY"}).startswith("env:KEY: the value ")


def test_a_secret_of_a_header_that_is_renewed_meanwhile_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("old")

    async def answer(request: HttpRequest) -> HttpReply:
        key.write_text("new")
        return chat_reply("x") if request.headers["x-api-key"] == "new" else reply(401, {"message": "expired"})

    client = bench.open(answer, endpoints={"mine": {"base_url": OTHERS, "headers": {"x-api-key": f"file:{key}"}}})
    assert client.query("mine", "hi") == "x"
    assert [request.headers["x-api-key"] for request in bench.sent] == ["old", "new"]


def test_secrets_that_a_server_echoes_are_hidden(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", f"{PLANTED}-key")
    monkeypatch.setenv("SIG", f"{PLANTED}-sig")

    async def answer(request: HttpRequest) -> HttpReply:
        said = f"{request.url} {request.headers} {json.dumps(request.headers).upper()}"
        return reply(400, {"error": {"message": said}}, x_request_id=request.headers["cookie"])

    entry = {"base_url": OTHERS, "headers": {"cookie": "env:KEY"}, "query": {"sig": "env:SIG"}}
    client = bench.open(answer, endpoints={"mine": entry})
    with pytest.raises(CallError) as caught:
        client.query("mine", "hi")
    assert "sig=***" in str(caught.value)
    assert PLANTED not in f"{caught.value} {caught.value.request_id} {bench.rows()}"


class TimedTransport(FakeTransport):
    """Keeps how long each request may take."""

    def __init__(self) -> None:
        async def answer(_: HttpRequest) -> HttpReply:
            return chat_reply("x")

        super().__init__(answer)
        self.limits: list[float] = []

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        self.limits.append(timeout_s)
        return await super().send(request, timeout_s)


def test_an_endpoint_may_have_a_time_limit_of_its_own(tmp_path: Path) -> None:
    transport = TimedTransport()
    endpoints = {name: {"base_url": OTHERS, **own} for name, own in (("slow", {"timeout": 600}), ("plain", {}))}
    settings = {"request_timeout": 30, "row_deadline": 700, "spool_dir": str(tmp_path), "endpoints": endpoints}
    with Client(GatewayConfig.from_env(**settings), open_transport=lambda: transport) as client:
        client.query("slow", "hi")
        client.query("plain", "hi")
    assert transport.limits == [600, 30]


def test_what_an_endpoint_sends_besides_is_part_of_the_key_of_its_answers() -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"headers": {"x-a": "1"}},
        {"headers": {"x-a": "2"}},
        {"headers": {"x-b": "1"}},
        {"headers": {"x-a": "env:A"}},
        {"query": {"x-a": "1"}},
        {"query": {"x-a": "1", "x-b": "1"}},
        {"tags_in": "user"},
        {"token": "env:K"},
        {"token": "env:K", "key_header": "x-api-key"},
    ]
    request = InferenceRequest("a")
    assert len({KeyMaker(service(**way)).of(request) for way in ways}) == len(ways)
    assert KeyMaker(service(timeout=5)).of(request) == KeyMaker(service()).of(request)
    assert service().tags_in is TagsIn.NONE
