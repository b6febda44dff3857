"""The loop over attempts, with the shipped fake transport, a real spool, and a clock that jumps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.engine.request_executor import CallPolicy
from gateway_batch.errors import (
    CallError,
    ErrorKind,
    LedgerError,
    MalformedError,
    RejectedError,
    UnreachableError,
)
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, InferenceResult
from gateway_batch.usage.segment import Kind, event_id, read_lines
from tests.unit.executor_bench import DOWN, FAST, SECRET, Bench, Script

from .samples import CALLER, CHAT, active_segments, chat_reply, no_file_longer_than, reply
from .virtual_time import now


def reported(rows: list[dict[str, Any]]) -> list[tuple[str, str | None, int | None]]:
    """Outcome, error kind and status of each row."""
    return [
        (row["client_metadata"]["outcome"], row["client_metadata"].get("error_kind"), row["status_code"])
        for row in rows
    ]


def too_many(**headers: str) -> HttpReply:
    return reply(429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}, **headers)


def test_an_answer_is_returned_and_recorded(play: Any) -> None:
    result, rows = play(lambda bench: bench.infer(team="search"), [chat_reply("hello", x_request_id="r-1")])
    assert result.value == "hello"
    (row,) = rows
    assert reported(rows) == [("answered", None, 200)]
    assert (row["request_id"], row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (
        "r-1",
        11,
        4,
        15,
    )
    assert (row["endpoint_name"], row["request_tags"]) == ("chat", {"team": "search"})
    assert row["client_metadata"]["attempt"] == 1


def test_the_request_goes_to_the_service_in_its_format(play: Any) -> None:
    async def scene(bench: Bench) -> HttpRequest:
        await bench.infer("what?")
        return bench.transport.sent[0]

    sent, _ = play(scene, [chat_reply("x")])
    assert sent.url == CHAT.url
    assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "what?"}]


def test_waits_as_long_as_the_server_asks(play: Any) -> None:
    async def scene(bench: Bench) -> list[float]:
        await bench.infer()
        return bench.sent_at

    sent_at, rows = play(scene, [too_many(retry_after="37"), chat_reply("x")])
    assert 37.0 <= sent_at[1] < 37.1
    assert reported(rows) == [("answered", "rate_limit", 429), ("answered", None, 200)]


def test_waits_before_a_retry_as_long_as_the_server_asks(play: Any) -> None:
    async def scene(bench: Bench) -> list[float]:
        await bench.infer()
        return bench.naps

    naps, _ = play(scene, [reply(503, {}, retry_after="20"), chat_reply("x")])
    assert naps == [20.5]


def test_all_calls_wait_after_a_429_and_not_only_the_one_it_hit(play: Any) -> None:
    async def scene(bench: Bench) -> list[float]:
        await asyncio.gather(bench.infer(), bench.infer(), bench.infer())
        return bench.sent_at

    sent_at, _ = play(scene, [too_many(retry_after="10"), chat_reply("x")], ceiling=1)
    assert sent_at[0] == 0.0
    assert all(at >= 10.0 for at in sent_at[1:])


def test_a_429_is_not_counted_as_an_attempt(play: Any) -> None:
    answers = [*[too_many(retry_after="1")] * 8, DOWN, DOWN, chat_reply("x")]
    result, rows = play(lambda bench: bench.infer(), answers)
    assert result.value == "x"
    assert len(rows) == 11


def test_another_model_of_the_same_host_is_not_held_up_by_a_429(play: Any) -> None:
    """All models of a workspace share one URL; rate limits are those of a model service."""

    async def scene(bench: Bench) -> float:
        slow = asyncio.create_task(bench.infer())
        await asyncio.sleep(1.0)
        await bench.infer(service=replace(CHAT, endpoint="other", model="databricks-claude-sonnet-4"))
        answered_at = now()
        await slow
        return answered_at

    answered_at, _ = play(scene, [too_many(retry_after="60"), chat_reply("x")])
    assert answered_at < 2.0


def test_a_server_error_is_tried_again_with_growing_delays(play: Any) -> None:
    async def scene(bench: Bench) -> list[float]:
        await bench.infer()
        return bench.naps

    naps, rows = play(scene, [DOWN, DOWN, chat_reply("x")])
    assert naps == [0.5, 1.0]
    assert reported(rows) == [("answered", "server", 500)] * 2 + [("answered", None, 200)]
    assert [row["client_metadata"]["attempt"] for row in rows] == [1, 2, 3]


def test_gives_up_with_the_last_error(play: Any) -> None:
    error, rows = play(lambda bench: bench.failure(), [DOWN, DOWN, reply(502, {"message": "still down"})])
    assert (error.kind, error.status, str(error)) == (ErrorKind.SERVER, 502, "502: still down")
    assert len(rows) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_a_lasting_refusal_is_not_tried_again(play: Any, status: int) -> None:
    error, rows = play(lambda bench: bench.failure(), [reply(status, {"message": "no"})])
    assert isinstance(error, RejectedError)
    assert [row["status_code"] for row in rows] == [status]


def test_a_connection_error_is_tried_again(play: Any) -> None:
    result, rows = play(lambda bench: bench.infer(), [UnreachableError(ErrorKind.CONNECT, "no route"), chat_reply("x")])
    assert result.value == "x"
    assert reported(rows) == [("no_answer", "connect", None), ("answered", None, 200)]


def test_a_row_that_waited_for_the_server_past_its_deadline_fails(play: Any) -> None:
    async def scene(bench: Bench) -> tuple[CallError, float]:
        return await bench.failure(), now()

    (error, at), rows = play(scene, [too_many(retry_after="100")], policy=CallPolicy(FAST, row_deadline_s=10.0))
    assert error.kind is ErrorKind.DEADLINE
    assert at < 10.1
    assert reported(rows) == [("answered", "rate_limit", 429)]


def test_a_row_that_waited_elsewhere_has_the_rest_of_its_time(play: Any) -> None:
    async def scene(bench: Bench) -> tuple[CallError, float]:
        with pytest.raises(CallError) as caught:
            await bench.client.infer(InferenceRequest("hi"), CHAT, CALLER, deadline=now() + 4.0)
        return caught.value, now()

    (error, at), _ = play(scene, [too_many(retry_after="100")], policy=CallPolicy(FAST, row_deadline_s=1000.0))
    assert (error.kind, error.was_sent) == (ErrorKind.DEADLINE, True)
    assert at <= 4.0


def test_a_row_that_was_never_sent_says_so_and_why(play: Any) -> None:
    async def scene(bench: Bench) -> CallError:
        await bench.failure()
        return await bench.failure()

    error, rows = play(scene, [too_many(retry_after="100")], policy=CallPolicy(FAST, row_deadline_s=10.0))
    assert (error.kind, error.was_sent, len(rows)) == (ErrorKind.DEADLINE, False, 1)
    assert "the service refused calls (429), and gets none for 100.0 s more" in str(error)


def test_a_delay_past_the_deadline_is_not_waited_for(play: Any) -> None:
    async def scene(bench: Bench) -> tuple[CallError, float]:
        return await bench.failure(), now()

    answers = [reply(503, {"message": "down"}, retry_after="100")]
    (error, at), _ = play(scene, answers, policy=CallPolicy(FAST, row_deadline_s=10.0))
    assert error.status == 503
    assert at == 0.0


def test_the_deadline_bounds_429s_that_ask_for_no_wait(play: Any) -> None:
    async def slow_429(_: HttpRequest) -> HttpReply:
        await asyncio.sleep(1.0)
        assert now() < 60.0, "sent long past the deadline"
        return too_many(retry_after="0")

    error, rows = play(lambda bench: bench.failure(), slow_429, policy=CallPolicy(FAST, row_deadline_s=10.0))
    assert error.kind is ErrorKind.DEADLINE
    assert len(rows) == 10


def test_an_attempt_may_take_no_longer_than_what_is_left(play: Any) -> None:
    timeouts: list[float] = []

    class Noting(FakeTransport):
        async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
            timeouts.append(timeout_s)
            return await super().send(request, timeout_s)

    async def scene(bench: Bench) -> None:
        bench.client._transport = Noting(Script([reply(503, {}, retry_after="6"), chat_reply("x")]))
        await bench.infer()

    play(scene, [DOWN], policy=CallPolicy(FAST, request_timeout_s=8.0, row_deadline_s=10.0))
    assert timeouts == [8.0, 3.5]


def test_the_intent_is_on_disk_before_the_transport_sees_the_request(tmp_path: Path, play: Any) -> None:
    seen: list[tuple[str, list[tuple[Kind, str]]]] = []

    async def answer(request: HttpRequest) -> HttpReply:
        lines = [line for path in active_segments(tmp_path / "spool") for line in read_lines(path)]
        intents: list[tuple[Kind, str]] = [(k, event_id(line)) for k, line in lines if k is not Kind.HEADER]
        seen.append((request.headers["x-client-request-id"], intents))
        return chat_reply("x")

    play(lambda bench: bench.infer(), answer)
    ((sent, intents),) = seen
    assert intents == [(Kind.INTENT, sent)]


def test_each_attempt_has_an_event_id_of_its_own_on_the_wire_and_in_its_row(play: Any) -> None:
    async def scene(bench: Bench) -> list[str]:
        await bench.infer()
        return [sent.headers["x-client-request-id"] for sent in bench.transport.sent]

    ids, rows = play(scene, [DOWN, DOWN, chat_reply("x")])
    assert len(set(ids)) == 3
    assert ids == [row["client_metadata"]["event_id"] for row in rows] == [row["invocation_id"] for row in rows]


def test_a_cancelled_attempt_is_recorded(play: Any) -> None:
    async def scene(bench: Bench) -> None:
        task = asyncio.create_task(bench.infer())
        await asyncio.sleep(3.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _, rows = play(scene, [60.0])
    assert reported(rows) == [("no_answer", "cancelled", None)]
    assert rows[0]["latency_ms"] == 3000


def test_a_cancelled_call_gives_its_slot_back(play: Any) -> None:
    async def scene(bench: Bench) -> InferenceResult:
        task = asyncio.create_task(bench.infer())
        await asyncio.sleep(3.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await bench.infer()

    result, _ = play(scene, [60.0, chat_reply("x")], ceiling=1)
    assert result.value == "x"


def test_a_defect_of_the_transport_is_recorded_too(play: Any) -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(ZeroDivisionError):
            await bench.infer()

    _, rows = play(scene, [ZeroDivisionError()])
    assert [row["client_metadata"]["outcome"] for row in rows] == ["no_answer"]


def test_what_can_not_be_recorded_is_not_sent(play: Any) -> None:
    async def scene(bench: Bench) -> int:
        with no_file_longer_than(10), pytest.raises(LedgerError):
            await bench.infer()
        return len(bench.transport.sent)

    sent, rows = play(scene, [chat_reply("x")])
    assert (sent, rows) == (0, [])


def test_an_answer_that_is_not_the_api_is_recorded_as_answered(play: Any) -> None:
    error, rows = play(lambda bench: bench.failure(), [reply(200, {"choices": []})])
    assert isinstance(error, MalformedError)
    assert reported(rows) == [("answered", "invalid_response", 200)]


def test_the_tokens_of_a_refusal_were_paid_for_and_are_recorded(play: Any) -> None:
    refused = {
        "model": "gpt-5.4",
        "choices": [{"message": {"content": None, "refusal": "No."}}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 5, "total_tokens": 905},
    }
    _, (row,) = play(lambda bench: bench.failure(), [reply(200, refused)])
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (900, 5, 905)


def test_tokens_that_a_result_does_not_report_are_estimated(play: Any) -> None:
    bare = reply(200, {"choices": [{"message": {"content": "z" * 11}}]})
    _, (row,) = play(lambda bench: bench.infer("x" * 40), [bare])
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (10, 3, 13)
    assert row["client_metadata"]["token_source"] == "estimated"


def test_tokens_of_a_failure_are_not_estimated(play: Any) -> None:
    _, (row,) = play(lambda bench: bench.failure(), [reply(200, {"choices": [{"message": {"content": None}}]})])
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (None, None, None)
    assert "token_source" not in row["client_metadata"]


def test_the_tokens_of_an_answer_cut_off_before_its_text_are_recorded(play: Any) -> None:
    cut_off = {
        "choices": [{"message": {"content": None}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 4096, "total_tokens": 4996},
    }
    _, (row,) = play(lambda bench: bench.failure(), [reply(200, cut_off)])
    assert row["total_tokens"] == 4996


def test_never_more_calls_in_flight_than_slots(play: Any) -> None:
    in_flight: set[int] = set()
    most = 0

    async def answer(request: HttpRequest) -> HttpReply:
        nonlocal most
        in_flight.add(id(request))
        most = max(most, len(in_flight))
        await asyncio.sleep(1.0)
        in_flight.discard(id(request))
        return chat_reply("x")

    async def scene(bench: Bench) -> None:
        await asyncio.gather(*(bench.infer() for _ in range(11)))

    _, rows = play(scene, answer)
    assert (most, len(rows)) == (4, 11)


def test_a_call_between_two_attempts_holds_no_slot(play: Any) -> None:
    async def scene(bench: Bench) -> float:
        failing = asyncio.create_task(bench.infer())
        await asyncio.sleep(0.1)
        await bench.infer()
        answered_at = now()
        await failing
        return answered_at

    answered_at, _ = play(scene, [reply(503, {}, retry_after="30"), chat_reply("x")], ceiling=1)
    assert answered_at < 1.0


def test_no_wait_that_a_server_asks_for_is_longer_than_the_setting(play: Any) -> None:
    async def scene(bench: Bench) -> tuple[float, list[float]]:
        await bench.infer()
        return bench.sent_at[-1], bench.naps

    policy, hint = CallPolicy(FAST, max_retry_after_s=90.0), {"retry_after": "86400"}
    (sent_at, _), _ = play(scene, [too_many(**hint), chat_reply("x")], policy)
    assert 90.0 <= sent_at < 90.1
    (_, naps), _ = play(scene, [reply(503, {}, **hint), chat_reply("x")], policy)
    assert naps == [90.5]


def test_an_answer_that_was_not_read_on_is_recorded_with_its_status_and_not_asked_for_again(play: Any) -> None:
    too_large = MalformedError(ErrorKind.INVALID_RESPONSE, "the answer is larger than 64 MB", status=200)
    failure, rows = play(lambda bench: bench.failure(), [too_large])
    assert failure is too_large
    assert reported(rows) == [("answered", "invalid_response", 200)]


def test_an_answer_that_cant_be_read_is_recorded_with_its_tokens(play: Any) -> None:
    body = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\n'
    failure, (row,) = play(lambda bench: bench.failure(), [HttpReply(200, {}, body)])
    assert failure.kind is ErrorKind.INVALID_RESPONSE
    assert (row["client_metadata"]["error_kind"], row["total_tokens"]) == ("invalid_response", 9)


def test_tokens_that_no_request_can_have_are_estimated(play: Any) -> None:
    answer = json.loads(chat_reply("hello").body) | {"usage": {"prompt_tokens": 2**63 - 1, "completion_tokens": 1}}
    _, (row,) = play(lambda bench: bench.infer("a" * 39), [reply(200, answer)])
    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (10, 1, 11)
    assert row["client_metadata"]["token_source"] == "estimated"
    assert row["client_metadata"]["other_usage"] == {"prompt_tokens": str(2**63 - 1)}


def test_a_token_that_a_refusal_echoes_is_in_no_error_and_no_record(play: Any) -> None:
    service = replace(CHAT, credential="value:token")
    echo = reply(403, {"message": f"{SECRET} is not allowed"}, x_request_id=f"for {SECRET}", content_type=SECRET)
    failure, rows = play(lambda bench: bench.failure(service), [echo])
    assert "*** is not allowed" in str(failure)
    assert SECRET not in f"{failure} {failure.request_id} {rows}"
