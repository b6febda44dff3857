"""Whether the row, the query, the money, the service or the moment is at fault, and what it costs the other rows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway_batch.engine.blame import CONSEQUENCES, Blame
from gateway_batch.engine.request_executor import CallPolicy
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import CallError, ErrorKind, RejectedError, UnreachableError
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, InferenceResult, ResponseFormat
from tests.unit.executor_bench import Bench

from .samples import CALLER, CHAT, chat_reply, reply
from .virtual_time import now

Answer = Callable[[int], Awaitable[HttpReply]]


def error(status: int, message: str, **headers: str) -> HttpReply:
    return reply(status, {"error": {"message": message}}, **headers)


def rows(bench: Bench, count: int, at_once: int = 64) -> Awaitable[list[Any]]:
    """The results or errors of rows, as many worked on at once."""
    texts = iter(range(count))
    found: list[Any] = []

    async def worker() -> None:
        for text in texts:
            try:
                found.append(await bench.infer(f"row {text} of {count}"))
            except CallError as failure:
                found.append(failure)

    async def run() -> list[Any]:
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return found

    return run()


def play_rows(
    play: Any, answer: Answer, count: int, *, ceiling: int = 32, at_once: int = 64, **policy: Any
) -> tuple[list[Any], Counter[int], float]:
    """Results, requests by row, and seconds."""
    sent: Counter[int] = Counter()

    async def service(request: HttpRequest) -> HttpReply:
        row = int(request.body.split(b"row ")[1].split(b" ")[0])
        sent[row] += 1
        return await answer(row)

    async def scene(bench: Bench) -> tuple[list[Any], float]:
        return await rows(bench, count, at_once), now()

    (found, seconds), _ = play(scene, service, policy=CallPolicy(RetryPolicy(), **policy), ceiling=ceiling)
    return found, sent, seconds


def test_each_kind_has_its_consequence() -> None:
    assert set(CONSEQUENCES) == set(ErrorKind)
    for consequence in CONSEQUENCES.values():
        everybodys = consequence.blame in (Blame.QUERY, Blame.CREDENTIAL, Blame.MONEY)
        assert (consequence.repeats is not None) is everybodys
        assert not (consequence.is_retried and consequence.is_waited_out)


@pytest.mark.parametrize(("share", "slower"), [(0.02, 1.3), (0.05, 1.6), (0.15, 3.0)])
def test_single_429s_that_are_no_limit_hold_up_their_own_rows_only(play: Any, share: float, slower: float) -> None:
    chance = random.Random(7)

    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.1)
        return error(429, "slow down", retry_after="1") if chance.random() < share else chat_reply("x")

    found, _, seconds = play_rows(play, answer, 400)
    assert all(isinstance(each, InferenceResult) for each in found)
    assert seconds <= slower * 1.34  # without any, the opening of the window included


def test_rows_that_can_never_fit_fail_at_once_and_hold_up_no_other(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        if row % 400 == 7:
            return error(429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 61337.")
        return chat_reply("x")

    found, sent, seconds = play_rows(play, answer, 2_000, ceiling=64, at_once=128)
    assert Counter(each.kind for each in found if isinstance(each, CallError)) == {ErrorKind.TOO_LARGE: 5}
    assert set(sent.values()) == {1}
    assert seconds <= 1.1 * (2_000 / 64 * 0.05 + 0.12)


def test_a_row_that_is_refused_alone_again_and_again_fails(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return error(429, "no") if row == 3 else chat_reply("x")

    found, sent, _ = play_rows(play, answer, 3_000)
    assert [each.kind for each in found if isinstance(each, CallError)] == [ErrorKind.RATE_LIMIT]
    assert sent[3] <= 12


@pytest.mark.parametrize(("rate", "burst"), [(20.0, 20.0), (5.0, 40.0)])
def test_no_row_fails_at_a_rate_limit(play: Any, rate: float, burst: float) -> None:
    level, filled_at = burst, 0.0

    async def answer(row: int) -> HttpReply:
        nonlocal level, filled_at
        level, filled_at = min(burst, level + (now() - filled_at) * rate), now()
        await asyncio.sleep(0.05)
        if level < 1:
            return error(429, "slow down", retry_after="1")
        level -= 1
        return chat_reply("x")

    found, _, _ = play_rows(play, answer, 400)
    assert all(isinstance(each, InferenceResult) for each in found)


def test_rows_that_a_firewall_blocks_stop_no_other(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return error(403, "Forbidden") if 20 <= row < 100 else chat_reply("x")

    _, sent, _ = play_rows(play, answer, 200, ceiling=4, at_once=4)
    assert sent.total() == 200


@pytest.mark.parametrize(
    "refusal",
    [
        error(402, "Insufficient Balance"),
        error(429, "Your team has either used all available credits or reached its monthly spending limit."),
        reply(429, {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "429"}}),
    ],
)
def test_without_money_rows_fail_at_once_with_a_request_each_at_most(play: Any, refusal: HttpReply) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return refusal

    found, sent, seconds = play_rows(play, answer, 24)
    assert {each.kind for each in found} == {ErrorKind.QUOTA}
    assert set(sent.values()) == {1}
    assert seconds < 1


@pytest.mark.parametrize("answered_before", [False, True])
def test_a_service_that_loads_is_waited_for_by_single_calls(play: Any, answered_before: bool) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.002)
        loads = 0.05 * answered_before < now() < 20
        return error(503, "Loading model") if loads else chat_reply("x")

    found, sent, seconds = play_rows(play, answer, 1_000)
    assert all(isinstance(each, InferenceResult) for each in found)
    assert sent.total() <= 1.05 * 1_000
    assert seconds < 30


def test_a_service_that_is_not_there_fails_soon(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        return error(500, "down")

    found, _, seconds = play_rows(play, answer, 64)
    assert {each.kind for each in found} == {ErrorKind.SERVER}
    assert seconds < 10


def test_overload_of_every_other_call_is_waited_out(play: Any) -> None:
    chance = random.Random(3)

    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return error(529, "Overloaded") if chance.random() < 0.5 else chat_reply("x")

    found, _, _ = play_rows(play, answer, 400)
    assert all(isinstance(each, InferenceResult) for each in found)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (error(400, "Unsupported parameter: 'max_tokens' is not supported with this model."), ErrorKind.BAD_REQUEST),
        (error(404, "The model `m` does not exist"), ErrorKind.NOT_FOUND),
        (error(401, "Incorrect API key provided"), ErrorKind.AUTHENTICATION),
        (error(402, "Insufficient Balance"), ErrorKind.QUOTA),
    ],
)
def test_a_refusal_that_every_row_meets_is_met_by_few(play: Any, refusal: HttpReply, kind: ErrorKind) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return refusal

    found, sent, _ = play_rows(play, answer, 10_000)
    assert {each.kind for each in found} == {kind}
    assert sent.total() <= 200
    assert len({str(each) for each in found}) == 2  # the service's words, and that others were not sent for them
    assert all(each.was_sent is False for each in found if str(each).startswith("not sent"))


def test_refusals_among_answers_stop_nothing(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(0.05)
        return chat_reply("x") if row % 20 == 0 else error(400, "Unsupported parameter: 'x'")

    _, sent, _ = play_rows(play, answer, 400, ceiling=4, at_once=4)
    assert sent.total() == 400


def test_a_query_goes_on_once_its_refusals_end(play: Any) -> None:
    async def answer(row: int) -> HttpReply:
        await asyncio.sleep(1)
        return error(402, "Insufficient Balance") if now() < 15 else chat_reply("x")

    async def scene(bench: Bench) -> list[Any]:
        found: list[Any] = []
        for _ in range(60):
            found += await asyncio.gather(*(bench.infer() for _ in range(4)), return_exceptions=True)
            await asyncio.sleep(1)
        return found

    async def service(request: HttpRequest) -> HttpReply:
        return await answer(0)

    found, _ = play(scene, service, policy=CallPolicy(RetryPolicy()))
    assert isinstance(found[0], RejectedError)
    assert all(isinstance(each, InferenceResult) for each in found[-40:])


@pytest.mark.parametrize("drops", [True, False])
def test_a_call_whose_parameter_is_refused_is_sent_again_without_it_where_asked(
    play: Any, caplog: pytest.LogCaptureFixture, drops: bool
) -> None:
    bodies: list[dict[str, Any]] = []

    async def service(request: HttpRequest) -> HttpReply:
        bodies.append(orjson.loads(request.body))
        if "seed" in bodies[-1]:
            return error(400, "Unsupported parameter: 'seed' is not supported with this model.")
        return chat_reply("x")

    async def scene(bench: Bench) -> list[Any]:
        call = InferenceRequest("hi", {"seed": 1, "temperature": 0})
        calls = [bench.client.infer(call, CHAT, CALLER) for _ in range(2)]
        return [(await asyncio.gather(each, return_exceptions=True))[0] for each in calls]

    found, _ = play(scene, service, policy=CallPolicy(RetryPolicy(), drops_refused_parameters=drops))
    if drops:
        assert [sorted(body.keys() & {"seed", "temperature"}) for body in bodies] == [
            ["seed", "temperature"],
            ["temperature"],
            ["temperature"],
        ]
        assert all(isinstance(each, InferenceResult) for each in found)
        assert len([record for record in caplog.records if "seed" in record.getMessage()]) == 1
    else:
        assert len(bodies) == 2
        assert {each.refused_parameter for each in found} == {"seed"}


@pytest.mark.parametrize(
    ("text", "ended", "says"),
    [
        ('{"a": "an ans', "length", "cut off after 4 tokens, before its JSON was whole: raise max_tokens"),
        ('{"a": "b"}', "length", None),
        ('{"a": "an ans', "stop", None),
    ],
)
def test_json_that_max_tokens_cut_off_is_told_as_such(play: Any, text: str, ended: str, says: str | None) -> None:
    choice = {"message": {"content": text}, "finish_reason": ended}
    body = {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 4}}

    async def scene(bench: Bench) -> Any:
        call = InferenceRequest("hi", response_format=ResponseFormat())
        return (await asyncio.gather(bench.client.infer(call, CHAT, CALLER), return_exceptions=True))[0]

    found, records = play(scene, [reply(200, body)])
    assert len(records) == 1
    assert records[0]["output_tokens"] == 4
    if says is None:
        assert found.value == text
    else:
        assert says in str(found)
        assert text not in str(found)


@pytest.mark.parametrize(("deadline_s", "sent", "kind"), [(900.0, 2, None), (25.0, 1, ErrorKind.TIMEOUT)])
def test_an_answer_that_takes_longer_gets_twice_the_time_once(
    play: Any, deadline_s: float, sent: int, kind: ErrorKind | None
) -> None:
    async def scene(bench: Bench) -> Any:
        try:
            return await bench.infer()
        except CallError as failure:
            return failure

    sent_at: list[float] = []

    async def service(request: HttpRequest) -> HttpReply:
        sent_at.append(now())
        if len(sent_at) == 1:
            await asyncio.sleep(10)
            raise UnreachableError(ErrorKind.TIMEOUT, "no answer in time")
        await asyncio.sleep(15)
        return chat_reply("x")

    policy = CallPolicy(RetryPolicy(), request_timeout_s=10.0, row_deadline_s=deadline_s)
    found, _ = play(scene, service, policy=policy)
    assert len(sent_at) == sent
    assert (found.kind if isinstance(found, CallError) else None) is kind
