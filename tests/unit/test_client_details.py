"""`details=True`: what a call of `gb.Client` returns with its answer."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import Answer, HttpReply, HttpRequest, TokenUsage

from .client_bench import MODEL, VECTORS, Bench
from .client_bench import embed as plain_embed
from .samples import chat_reply, reply


async def finished(_: HttpRequest) -> HttpReply:
    body = {
        "model": "gpt-5.4-2026",
        "choices": [{"message": {"content": "deep"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
    }
    return reply(200, body, x_request_id="theirs-1")


async def embed(request: HttpRequest) -> HttpReply:
    answered = await plain_embed(request)
    return HttpReply(200, {"x-request-id": "theirs-2"}, answered.body[:-1] + b',"usage":{"prompt_tokens":6}}')


def test_an_answer_has_its_details(bench: Bench) -> None:
    client = bench.open(finished, endpoints={MODEL: {"prices": {"input": 2, "output": 10}}})
    answer = client.query(MODEL, "a lake", details=True)
    (row,) = bench.rows()
    assert answer == Answer(
        value="deep",
        tokens=TokenUsage(11, 4, 15),
        cost_usd=Decimal("0.000062"),
        model="gpt-5.4-2026",
        event_id=row["client_metadata"]["event_id"],
        request_id="theirs-1",
        finish_reason="length",
        attempts=1,
        latency_ms=row["latency_ms"],
    )
    assert answer.text == "deep"
    assert (row["request_id"], row["destination_model"]) == (answer.request_id, answer.model)


def test_without_a_price_of_the_endpoints_own_the_list_price_counts(bench: Bench) -> None:
    client = bench.open(finished)
    listed = client.query("databricks-claude-sonnet-4-5", "a", details=True)
    assert listed.cost_usd == 11 * Decimal(3) / 10**6 + 4 * Decimal(15) / 10**6
    assert client.query("no-such-model", "a", details=True).cost_usd is None


def test_a_repeated_call_counts_its_attempts_and_names_the_answered_one(bench: Bench) -> None:
    replies = iter([reply(503, {"message": "later"}, retry_after_ms="1"), chat_reply("a")])

    async def later(_: HttpRequest) -> HttpReply:
        return next(replies)

    answer = bench.open(later).query(MODEL, "a", details=True)
    rows = bench.rows()
    assert answer.attempts == len(rows) == 2
    (answered,) = (row for row in rows if row["status_code"] == 200)
    assert answer.event_id == answered["client_metadata"]["event_id"]
    assert answer.request_id == answer.event_id, "the server gave none"


def test_tokens_that_were_not_reported_are_those_of_the_record(bench: Bench) -> None:
    async def silent(_: HttpRequest) -> HttpReply:
        return reply(200, {"choices": [{"message": {"content": "four letters"}}]})

    answer = bench.open(silent).query(MODEL, "a lake", details=True)
    (row,) = bench.rows()
    assert row["client_metadata"]["token_source"] == "estimated"
    assert answer.tokens.total_tokens == row["total_tokens"] > 0


def test_many_answers_have_details_and_a_failed_call_its_error(bench: Bench) -> None:
    one, failed = bench.open().query_many(MODEL, ["a", "fail"], fail_on_error=False, details=True)
    assert isinstance(one, Answer)
    assert one.value == "a"
    assert isinstance(failed, CallError)
    assert failed.kind is ErrorKind.BAD_REQUEST
    events = {row["client_metadata"]["event_id"] for row in bench.rows()}
    assert {one.event_id, failed.event_id} == events


def test_texts_that_share_a_request_say_so(bench: Bench) -> None:
    client = bench.open(embed, endpoints={"mine": {"base_url": "https://m/v1", "prices": {"input": 1, "output": 0}}})
    one, other = client.embed("mine", ["a", "bb"], details=True)
    assert (one.value, other.value) == ([1], [2])
    assert one.texts == other.texts == 2
    assert one.tokens == other.tokens == TokenUsage(6, 0, 6)
    assert one.cost_usd == Decimal("0.000006")
    assert one.event_id == other.event_id == bench.rows()[0]["client_metadata"]["event_id"]
    assert (one.request_id, one.finish_reason) == ("theirs-2", None)
    with pytest.raises(TypeError, match="the value is a list, not a text"):
        _ = one.text


def test_methods_to_await_have_details_too(bench: Bench) -> None:
    async def main() -> None:
        async with bench.open(finished) as client:
            one = await client.aquery(MODEL, "a", details=True)
            (many,) = await client.aquery_many(MODEL, ["a"], details=True)
            assert (one.value, many.value) == ("deep", "deep")
        async with bench.open(embed) as client:
            (vector,) = await client.aembed(VECTORS, ["a"], details=True)
            assert vector.value == [1]

    asyncio.run(main())


def test_progress_counts_each_text_once_failed_ones_too(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []
    client = bench.open()
    client.query_many(MODEL, ["a", "fail", "c"], fail_on_error=False, progress=lambda *done: seen.append(done))
    assert sorted(seen) == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    texts = ["a" * length for length in range(1, 21)]
    bench.open(embed).embed(VECTORS, texts, progress=lambda *done: seen.append(done))
    assert sorted(seen)[-1] == (20, 20)
    assert len(seen) == 2, "once for each request"


def test_what_progress_raises_ends_the_call(bench: Bench) -> None:
    def stop(done: int, total: int) -> None:
        raise ValueError(f"{done} of {total}")

    with pytest.raises(ValueError, match="1 of 2"):
        bench.open(max_concurrency=1).query_many(MODEL, ["a", "b"], progress=stop)
