"""How a client ends: closed, dropped, interrupted, and calls that are awaited or cancelled."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway_batch.errors import CallError, ConfigError
from gateway_batch.types import HttpReply, HttpRequest
from gateway_batch.usage.spool import active_dir
from tests.unit.client_bench import MODEL, VECTORS, Bench, embed, kinds
from tests.waiting import WITHIN_S, wait_until

from .samples import chat_reply, sealed_rows


def test_methods_to_await_do_the_same(bench: Bench) -> None:
    async def main() -> None:
        async with bench.open() as client:
            assert await client.aquery(MODEL, "a") == "a"
            assert await client.aquery_many(MODEL, ["a", "b"]) == ["a", "b"]
            (failed,) = await client.aquery_many(MODEL, ["fail"], fail_on_error=False)
            assert isinstance(failed, CallError)
            with pytest.raises(ConfigError, match="must be text"):
                await client.aquery(MODEL, 3)  # type: ignore[call-overload]
        async with bench.open(embed) as client:
            assert await client.aembed(VECTORS, ["a", "bb"]) == [[1], [2]]

    asyncio.run(main())
    assert len(bench.rows()) == 5


def test_awaited_calls_are_in_flight_together_and_leave_the_callers_loop_free(bench: Bench) -> None:
    """No call is answered before all are in flight, and the caller's loop has said so."""
    may_go = threading.Event()

    async def wait_to_go(_: HttpRequest) -> HttpReply:
        await asyncio.to_thread(may_go.wait, WITHIN_S)
        assert may_go.is_set()
        return chat_reply("x")

    async def let_go() -> None:
        await asyncio.to_thread(wait_until, lambda: len(bench.sent) == 20)
        may_go.set()

    async def main() -> list[Any]:
        client = bench.open(wait_to_go)
        return await asyncio.gather(*(client.aquery(MODEL, "a") for _ in range(20)), let_go())

    assert asyncio.run(main()) == [*["x"] * 20, None]


def test_one_client_serves_several_event_loops_and_threads(bench: Bench) -> None:
    client = bench.open(max_concurrency=3)
    answers: list[list[str]] = []

    def sync(name: str) -> None:
        answers.append(client.query_many(MODEL, [f"{name} {n}" for n in range(20)]))

    def awaiting(name: str) -> None:
        answers.append(asyncio.run(client.aquery_many(MODEL, [f"{name} {n}" for n in range(20)])))

    threads = [threading.Thread(target=target, args=(str(n),)) for n in range(4) for target in (sync, awaiting)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert len(answers) == 8
    for answer in answers:
        name = answer[0].split()[0]
        assert answer == [f"{name} {n}" for n in range(20)]


def test_cancelling_the_awaiting_task_stops_the_call_and_records_its_attempt(bench: Bench) -> None:
    client = bench.open()

    async def main() -> None:
        call = asyncio.create_task(client.aquery(MODEL, "hang"))
        many = asyncio.create_task(client.aquery_many(MODEL, ["hang"] * 3))
        await asyncio.to_thread(wait_until, lambda: len(bench.sent) == 4)
        call.cancel()
        many.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(call, many, return_exceptions=True)
        )

    asyncio.run(main())
    assert client.query(MODEL, "still open") == "still open"
    assert kinds(bench.rows()) == [*["cancelled"] * 4, None]


def test_a_time_limit_around_an_awaited_call_works(bench: Bench) -> None:
    async def main() -> None:
        loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)

        async def hang(_: HttpRequest) -> HttpReply:
            loop.call_soon_threadsafe(limit.reschedule, loop.time())
            await asyncio.sleep(600)
            raise AssertionError

        async with bench.open(hang) as client:
            with pytest.raises(TimeoutError):
                async with limit:
                    await client.aquery(MODEL, "hi")

    asyncio.run(main())
    assert kinds(bench.rows()) == ["cancelled"]


def test_a_closed_client_refuses_calls(bench: Bench) -> None:
    client = bench.open()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.query(MODEL, "hi")
    with pytest.raises(RuntimeError, match="the client is closed"):
        asyncio.run(client.aquery(MODEL, "hi"))


def test_closing_ends_the_calls_of_other_threads_and_records_them(bench: Bench) -> None:
    client = bench.open()
    ends: list[BaseException] = []

    def call(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            ends.append(error)

    calls: list[Callable[[], object]] = [
        lambda: client.query(MODEL, "hang"),
        lambda: client.query_many(MODEL, ["hang"] * 5),
        lambda: asyncio.run(client.aquery(MODEL, "hang")),
    ]
    threads = [threading.Thread(target=call, args=(work,)) for work in calls]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(bench.sent) == 7)
    client.close()
    for thread in threads:
        thread.join(WITHIN_S)
    assert [str(end) for end in ends] == ["the client was closed while this call was under way"] * 3
    assert kinds(bench.rows()) == ["cancelled"] * 7


def test_an_interrupted_wait_stops_the_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    client = bench.open()

    def interrupt(*_: object) -> None:
        wait_until(lambda: bench.sent)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("concurrent.futures.Future.result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.query(MODEL, "hang")
    assert client.query(MODEL, "still open") == "still open"
    assert kinds(bench.rows()) == ["cancelled", None]


def test_a_client_that_is_dropped_is_closed(bench: Bench) -> None:
    before = set(threading.enumerate())
    bench.open().query(MODEL, "hi")
    bench.clients.clear()
    gc.collect()
    wait_until(lambda: all(each in before or each.name != "gateway_batch" for each in threading.enumerate()))
    assert len(sealed_rows(bench.spool_dir)) == 1
    (folder,) = active_dir(bench.spool_dir).iterdir()
    assert [path.name for path in folder.iterdir()] == ["lock"]
