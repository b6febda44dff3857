"""`gb.Client` over the shipped fake transport and a real spool; `tests/client` has it against the real gateway."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import gateway_batch
from gateway_batch import Client, File, ResponseFormat
from gateway_batch.errors import CallError, ConfigError, ErrorKind, RejectedError
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest
from tests.unit.client_bench import MODEL, VECTORS, Bench, asked, echo, embed, kinds

from .samples import chat_reply, outcomes, reply, sealed_rows


def test_a_prompt_is_answered_and_recorded(bench: Bench) -> None:
    client = bench.open(requester="ana@example.com", workspace_id="123")
    assert client.query(MODEL, "what?") == "what?"
    (row,) = bench.rows()
    assert row["invocation_metadata"]["source"] == "EXTERNAL_CLIENT"
    assert (row["endpoint_name"], row["requester"], row["workspace_id"]) == (MODEL, "ana@example.com", "123")
    assert (row["status_code"], row["total_tokens"]) == (200, 15)
    spark_ids = {"query_execution_id", "stage_id", "partition_id", "task_attempt"}
    assert not row["client_metadata"].keys() & spark_ids
    assert row["client_metadata"]["application_id"] == client.application_id


def test_the_requester_is_the_systems_user_unless_it_is_set(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "rosa")
    bench.open().query(MODEL, "hi")
    assert bench.rows()[0]["requester"] == "rosa"


def test_a_user_without_a_name_is_no_reason_to_fail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    bench.open().query(MODEL, "hi")
    assert (bench.rows()[0]["requester"], bench.rows()[0]["requester_type"]) == (None, None)


def test_clients_of_a_process_have_one_application_id_and_each_its_own_slots(bench: Bench) -> None:
    one, other = bench.open(max_concurrency=1), bench.open(max_concurrency=1)
    assert one.application_id == other.application_id
    assert one.query(MODEL, "a") + other.query(MODEL, "b") == "ab"


def test_a_closed_client_leaves_nothing_in_the_temporary_folder(bench: Bench) -> None:
    bench.open().query(MODEL, "hi")
    folder = Path(tempfile.gettempdir())
    assert list(folder.glob("*/client-*/slots-64"))
    bench.clients[0].close()
    assert not list(folder.glob("*/client-*"))


def test_the_environment_is_the_configuration_if_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://theirs")
    monkeypatch.chdir(tmp_path)
    with Client(open_transport=lambda: FakeTransport(echo)) as client:
        assert client.config.host == "https://theirs"
        client.query(MODEL, "hi")
    assert len(sealed_rows(tmp_path / "spark-warehouse" / "_gateway_batch" / "spool")) == 1


def test_what_a_call_says_is_sent(bench: Bench) -> None:
    bench.open(request_tags={"team": "search", "step": "one"}).query(
        MODEL, "hi", model_parameters={"temperature": 0, "stop": None}, request_tags={"step": "two"}
    )
    assert bench.body() == {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    headers = bench.sent[0].headers
    assert json.loads(headers["Databricks-Ai-Gateway-Request-Tags"]) == {"team": "search", "step": "two"}
    assert headers["x-gateway-batch-source"] == "EXTERNAL_CLIENT"
    assert headers["authorization"] == "Bearer t"
    assert bench.rows()[0]["request_tags"] == {"team": "search", "step": "two"}


def test_the_api_may_be_chosen_by_the_call(bench: Bench) -> None:
    bench.open().query(MODEL, "hi", api="openai/v1/chat/completions")
    assert bench.sent[0].url == "https://h/ai-gateway/openai/v1/chat/completions"


def test_many_prompts_are_answered_in_their_order(bench: Bench) -> None:
    prompts = [f"Lake {number}" for number in range(300)]
    assert bench.open(max_concurrency=8).query_many(MODEL, iter(prompts)) == prompts
    assert len(outcomes(bench.rows())) == 300


def test_no_prompts_no_answers(bench: Bench) -> None:
    client = bench.open(embed)
    assert client.query_many(MODEL, []) == []
    assert client.embed(VECTORS, []) == []
    assert bench.sent == []


def test_no_more_than_the_slots_are_in_flight(bench: Bench) -> None:
    running = most = 0

    async def count(request: HttpRequest) -> HttpReply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return chat_reply("x")

    bench.open(count, max_concurrency=5).query_many(MODEL, ["a"] * 60)
    assert most == 5


def test_the_first_failure_ends_it(bench: Bench) -> None:
    client = bench.open(max_concurrency=2)
    with pytest.raises(RejectedError, match="no: fail") as caught:
        client.query_many(MODEL, ["hang", "fail", *["late"] * 50])
    assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, 400)
    rows = bench.rows()
    assert {"bad_request", "cancelled"} <= set(kinds(rows))
    assert len(rows) == len(bench.sent) <= 4, "twice the slots: what was under way was recorded, the rest never sent"


def test_a_failed_call_stands_in_its_place_if_asked(bench: Bench) -> None:
    answers = bench.open().query_many(MODEL, ["a", "fail", "c"], fail_on_error=False)
    assert (answers[0], answers[2]) == ("a", "c")
    assert isinstance(answers[1], CallError)
    assert answers[1].kind is ErrorKind.BAD_REQUEST


def test_an_estimate_of_tokens_binds_no_budget(bench: Bench) -> None:
    async def silent(request: HttpRequest) -> HttpReply:
        return reply(200, {"choices": [{"message": {"content": asked(request)}}]})

    client = bench.open(silent, budget={"max_total_tokens": 8_000})
    for _ in range(20):
        client.query(MODEL, "x" * 2_000)
    assert sum(row["total_tokens"] for row in bench.rows()) == 20 * 1_000


def test_a_budget_ends_what_a_client_sends(bench: Bench) -> None:
    client = bench.open(budget={"max_requests": 3}, max_concurrency=2)
    answers = client.query_many(MODEL, [f"q{number}" for number in range(8)], fail_on_error=False)
    refused = [answer for answer in answers if isinstance(answer, CallError)]
    assert len(answers) - len(refused) == len(bench.sent) == 3
    assert {error.kind for error in refused} == {ErrorKind.BUDGET}
    with pytest.raises(CallError, match="max_requests is 3, and 3 requests were sent"):
        bench.clients[0].query(MODEL, "once more")


def test_a_client_shares_no_limits_through_a_driver(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="a Client has no driver"):
        bench.open(coordination="driver")


def test_texts_become_vectors_in_their_order(bench: Bench) -> None:
    client = bench.open(embed)
    assert client.embed(VECTORS, ["a", "bb", "ccc"]) == [[1], [2], [3]]
    assert bench.body()["input"] == ["a", "bb", "ccc"]
    assert client.embed(VECTORS, ["a" * n for n in range(1, 41)]) == [[n] for n in range(1, 41)]
    assert len(bench.rows()) == 1 + 3, "16 texts a request"


def test_an_endpoint_says_how_many_texts_share_a_request(bench: Bench) -> None:
    client = bench.open(embed, endpoints={"mine": {"base_url": "https://m/v1", "embedding_rows": 2}})
    assert client.embed("mine", ["a", "bb", "ccc"]) == [[1], [2], [3]]
    inputs = [json.loads(request.body)["input"] for request in bench.sent]
    assert sorted(inputs, key=len) == [["a", "bb"], "ccc"]


def test_a_text_that_fails_stands_in_its_place_if_asked(bench: Bench) -> None:
    async def refuse_long(request: HttpRequest) -> HttpReply:
        return reply(400, {"message": "refused"}) if b"long" in request.body else await embed(request)

    client = bench.open(refuse_long)
    one, other, last = client.embed(VECTORS, ["a", "too long", "ccc"], fail_on_error=False)
    assert (one, last) == ([1], [3])
    assert isinstance(other, CallError)
    with pytest.raises(RejectedError, match="refused"):
        client.embed(VECTORS, ["a", "too long", "ccc"])


def test_the_method_decides_where_the_name_says_nothing(bench: Bench) -> None:
    client = bench.open(embed)
    client.embed("main.default.mine", ["a"])
    assert bench.sent[-1].url.endswith("/mlflow/v1/embeddings")
    with pytest.raises(RejectedError, match="no input"):
        client.query("main.default.embedding", "a")
    assert bench.sent[-1].url.endswith("/mlflow/v1/chat/completions")


WRONG: list[tuple[Callable[[Client], object], str]] = [
    (lambda c: c.query(MODEL, 3), "request: must be text, not int"),  # type: ignore[call-overload]
    (lambda c: c.query(None, "hi"), "endpoint: must be text, not NoneType"),  # type: ignore[call-overload]
    (lambda c: c.query("a b", "hi"), "'a b' is not the name of an endpoint"),
    (lambda c: c.query(MODEL, "\ud800"), "request: holds half of a surrogate pair, which no request can carry"),
    (lambda c: c.query_many(MODEL, "one"), "requests: must be a list of texts, not one str"),
    (lambda c: c.query_many(MODEL, ["a", None]), "requests[1]: must be text, not NoneType"),  # type: ignore[list-item]
    (lambda c: c.query(MODEL, "hi", api="nope/v1"), "endpoint databricks-gpt-5-4: no API 'nope/v1'"),
    (lambda c: c.query(MODEL, "hi", api="mlflow/v1/embeddings"), "mlflow/v1/embeddings is not an API for query()"),
    (lambda c: c.embed("mine", ["a"]), "endpoint mine: openai/v1/chat/completions is not an API for embed()"),
    (lambda c: c.query(MODEL, "hi", model_parameters={"messages": []}), "model_parameters: messages is set by the"),
    (lambda c: c.query(MODEL, "hi", model_parameters={"seed": {1}}), "model_parameters: must be JSON values"),
    (lambda c: c.query(MODEL, "hi", model_parameters="{}"), "model_parameters: must be a dict, not str"),  # type: ignore[call-overload]
    (lambda c: c.query(MODEL, "hi", response_format=ResponseFormat({"a": {1}})), "response_format: must be JSON"),
    (lambda c: c.query(MODEL, "hi", files=File(b"", "image/png")), "files: must be a list of File"),  # type: ignore[call-overload]
    (lambda c: c.query(MODEL, "hi", api="mlflow/v1/invocations"), "mlflow/v1/invocations is not an API for query()"),
    (lambda c: c.query(MODEL, "hi", request_tags={"a": 1}), "'a' maps to int"),  # type: ignore[dict-item]
    (lambda c: c.query(MODEL, "hi", request_tags={"a": "\ud800"}), "request_tags: holds half of a surrogate pair"),
    (lambda c: c.query(MODEL, "hi", model_parameters={"x": [float("nan")]}), "model_parameters: must be JSON values"),
    (lambda c: c.query(MODEL, "hi", instructions=b"no"), "instructions: must be text"),  # type: ignore[call-overload]
    (
        lambda c: c.query(MODEL, "hi", response_format=ResponseFormat({"type": 5})),
        "response_format: the schema is none",
    ),
    (
        lambda c: c.query(MODEL, "hi", response_format={"type": "json_object"}),  # type: ignore[call-overload]
        "response_format: must be a ResponseFormat, not dict",
    ),
    (lambda c: c.query(MODEL, "hi", files=[b"png"]), "files: must be a list of File values"),  # type: ignore[list-item]
    (
        lambda c: c.query(MODEL, "hi", model_parameters={"cache_control": {"type": "ephemeral"}}),
        "model_parameters: cache_control marks the system prompt, which all rows share, and there is none",
    ),
    (
        lambda c: c.query(MODEL, "hi", temperature=0),  # type: ignore[call-overload]
        "temperature: no such argument; there are api, files, images, instructions, model_parameters, request_tags, "
        "response_format, and the model's parameters go into model_parameters",
    ),
    (lambda c: c.embed(VECTORS, ["hi"], instructions="no"), "instructions: no such argument; there are api, model_"),  # type: ignore[call-overload]
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_argument_is_told_in_one_line_before_anything_is_sent(
    bench: Bench, call: Callable[[Client], object], message: str
) -> None:
    client = bench.open(endpoints={"mine": {"base_url": "https://m/v1", "api": "openai/v1/chat/completions"}})
    with pytest.raises(ConfigError) as caught:
        call(client)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bench.sent == []


def test_what_is_allowed_is_not_refused(bench: Bench) -> None:
    client, file = bench.open(), File(b"...", "image/png")
    assert "hi" in client.query(MODEL, "hi", files=[file], instructions="Be short.")
    assert client.query(MODEL, '{"hi": 1}', response_format=ResponseFormat()) == '{"hi": 1}'


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"a": 1}', None),
        ('{"a": 1.5}', "the answer breaks the schema of response_format at properties/a/type"),
        ("[1]", "the answer breaks the schema of response_format at type"),
        ("It is 1.", "the answer is not the JSON that response_format asks for"),
    ],
)
def test_an_answer_is_the_json_that_was_asked_for_or_an_error(bench: Bench, answer: str, says: str | None) -> None:
    wanted = ResponseFormat({"type": "object", "properties": {"a": {"type": "integer"}}})
    client = bench.open()
    (found,) = client.query_many(MODEL, [answer], response_format=wanted, fail_on_error=False)
    if says is None:
        assert found == answer
        return
    assert isinstance(found, CallError)
    assert (str(found), found.kind) == (says, ErrorKind.INVALID_RESPONSE)
    (row,) = bench.rows()
    assert found.event_id == row["invocation_id"], "it was paid for"
    assert row["status_code"] == 200


def test_older_names_warn_and_work(bench: Bench) -> None:
    with pytest.warns(DeprecationWarning, match=r"gb\.Image is called gb\.File now"):
        image = gateway_batch.Image(b"...", "image/png")  # type: ignore[operator]
    assert isinstance(image, File)
    with pytest.warns(DeprecationWarning, match="images: the option is called files now"):
        assert "hi" in bench.open().query(MODEL, "hi", images=[image], files=[File(b"%PDF-", "application/pdf")])
    assert [part["type"] for part in bench.body()["messages"][0]["content"]] == ["text", "file", "image_url"]


def test_a_token_is_not_shown(bench: Bench) -> None:
    client = bench.open(token="dapi-very-secret")
    assert "very-secret" not in repr(vars(client))
