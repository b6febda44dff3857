"""Identical requests of a scope are sent once, by whichever process is first."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway_batch.cache import AnswerStore, Flights, KeyMaker
from gateway_batch.cache import flights as flights_module
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import EmbeddingRequest, Image, InferenceRequest, RecordRequest, ResponseFormat

from .samples import CHAT

T = TypeVar("T")
A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def run(folder: Path, work: Callable[[Flights], Awaitable[T]], *, keep_failures: bool = True) -> T:
    async def main() -> T:
        flights = Flights(AnswerStore(folder), keep_failures=keep_failures)
        try:
            return await work(flights)
        finally:
            flights.close()

    return asyncio.run(main())


class Sender:
    """Answers with how often it was asked."""

    def __init__(self, *errors: CallError | None, delay_s: float = 0.0) -> None:
        self.calls = 0
        self._errors = list(errors)
        self._delay_s = delay_s

    async def __call__(self) -> int:
        self.calls += 1
        count = self.calls
        await asyncio.sleep(self._delay_s)
        if self._errors and (error := self._errors.pop(0)) is not None:
            raise error
        return count


def test_identical_requests_at_once_are_sent_once(tmp_path: Path) -> None:
    send = Sender(delay_s=0.02)
    answers = run(tmp_path, lambda flights: asyncio.gather(*(flights.answer(A, send) for _ in range(5))))
    assert answers == [1] * 5
    assert send.calls == 1


def test_an_answer_is_there_for_those_who_come_later(tmp_path: Path) -> None:
    send = Sender()

    async def work(flights: Flights) -> list[Any]:
        return [await flights.answer(key, send) for key in (A, B, A)]

    assert run(tmp_path, work) == [1, 2, 1]
    assert run(tmp_path, work) == [1, 2, 1]
    assert send.calls == 2


def test_a_failure_that_would_repeat_itself_is_kept(tmp_path: Path) -> None:
    refused = CallError(ErrorKind.BAD_REQUEST, "no such lake", status=400)
    send = Sender(refused)
    for _ in range(2):
        with pytest.raises(CallError, match="no such lake") as caught:
            run(tmp_path, lambda flights: flights.answer(A, send))
        assert (caught.value.kind, caught.value.status) == (ErrorKind.BAD_REQUEST, 400)
    assert send.calls == 1


@pytest.mark.parametrize(
    ("kind", "keep_failures"), [(ErrorKind.SERVER, True), (ErrorKind.DEADLINE, True), (ErrorKind.BAD_REQUEST, False)]
)
def test_other_failures_are_tried_again(tmp_path: Path, kind: ErrorKind, keep_failures: bool) -> None:
    send = Sender(CallError(kind, "not now"))
    with pytest.raises(CallError, match="not now"):
        run(tmp_path, lambda flights: flights.answer(A, send), keep_failures=keep_failures)
    assert run(tmp_path, lambda flights: flights.answer(A, send), keep_failures=keep_failures) == 2


def test_who_waits_for_a_failure_tries_itself(tmp_path: Path) -> None:
    send = Sender(CallError(ErrorKind.SERVER, "not now"), delay_s=0.01)

    async def work(flights: Flights) -> list[Any]:
        return await asyncio.gather(*(flights.answer(A, send) for _ in range(3)), return_exceptions=True)

    answers = run(tmp_path, work)
    assert [type(answer) for answer in answers] == [CallError, int, int]
    assert send.calls == 2


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01])
def test_a_cancelled_request_leaves_its_claim_to_others(tmp_path: Path, after_s: float) -> None:
    async def work(flights: Flights) -> Any:
        stuck = asyncio.create_task(flights.answer(A, Sender(delay_s=60)))
        await asyncio.sleep(after_s)
        stuck.cancel()
        await asyncio.wait([stuck])
        other = await asyncio.wait_for(flights.answer(A, Sender()), 5)
        flights.write()
        return other, AnswerStore

    assert run(tmp_path, work)[0] == 1


def test_of_several_requests_only_new_ones_are_sent_together(tmp_path: Path) -> None:
    sent: list[list[int]] = []

    async def send(places: Sequence[int]) -> list[Any]:
        sent.append(list(places))
        return [CallError(ErrorKind.SERVER, "down") if place == 3 else place * 10 for place in places]

    async def work(flights: Flights) -> list[Any]:
        first = await flights.answer_all([A, B], send)
        return [first, await flights.answer_all([B, A, C, b"d" * 16, C], send)]

    first, second = run(tmp_path, work)
    assert first == [0, 10]
    assert sent == [[0, 1], [2, 3]]
    assert second[:3] == [10, 0, 20]
    assert isinstance(second[3], CallError)
    assert second[4] == 20


def test_what_was_saved_is_counted(tmp_path: Path) -> None:
    async def work(flights: Flights) -> int:
        await flights.answer(A, Sender())
        await flights.answer(A, Sender())
        return flights.saved

    assert run(tmp_path, work) == 1


HOLD = """
import os, sys
from pathlib import Path
from gateway_batch.cache import AnswerStore
store = AnswerStore(Path(sys.argv[1]))
assert store.claim([b"a" * 16])[b"a" * 16].mine
print("held", flush=True)
sys.stdin.readline()
store.keep([(b"a" * 16, b'{"value": "theirs"}')])
print("kept", flush=True)
sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process at work on request A."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_what_another_process_is_at_work_on_is_waited_for(tmp_path: Path) -> None:
    send = Sender()
    with holder(tmp_path) as other:

        async def work(flights: Flights) -> Any:
            waiting = asyncio.create_task(flights.answer(A, send))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
            return await asyncio.wait_for(waiting, 10)

        assert run(tmp_path, work) == "theirs"
        other.kill()
    assert send.calls == 0


def test_the_claim_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    with holder(tmp_path) as other:

        async def work(flights: Flights) -> Any:
            waiting = asyncio.create_task(flights.answer(A, Sender()))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            other.kill()
            return await asyncio.wait_for(waiting, 10)

        assert run(tmp_path, work) == 1


def test_a_successor_on_the_same_byte_does_not_hold_what_the_dead_held(tmp_path: Path) -> None:
    with holder(tmp_path) as dead:
        dead.kill()
        dead.wait()
    successor = AnswerStore(tmp_path)
    assert run_in_another(tmp_path) == "mine\n"
    successor.close()


def run_in_another(folder: Path) -> str:
    script = HOLD.splitlines()
    code = "\n".join([*script[:5], 'print("mine" if store.claim([b"a" * 16])[b"a" * 16].mine else "held")'])
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout


def test_a_store_that_fails_costs_the_sharing_and_not_the_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    send = Sender()

    async def work(flights: Flights) -> list[Any]:
        flights._store._database.execute("DROP TABLE answers")
        return [await flights.answer(A, send), await flights.answer(A, send)]

    assert run(tmp_path, work) == [1, 2]
    assert caplog.text.count("answers can't be shared") == 1
    assert flights_module._log.name in caplog.text


def test_the_files_are_the_users_own(tmp_path: Path) -> None:
    AnswerStore(tmp_path / "scope").close()
    assert os.stat(tmp_path / "scope").st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "scope").iterdir()} == {0o600}


def test_all_that_is_sent_is_in_the_key() -> None:
    make = KeyMaker(CHAT).of_prompt
    requests = [
        InferenceRequest("a"),
        InferenceRequest("b"),
        InferenceRequest("a", {"temperature": 0.5}),
        InferenceRequest("a", {}, {"team": "search"}),
        InferenceRequest("a", instructions="b"),
        InferenceRequest("a", response_format=ResponseFormat()),
        InferenceRequest("a", response_format=ResponseFormat({"type": "object"})),
        InferenceRequest("a", images=(Image(b"x", "image/png"),)),
    ]
    assert len({make(request) for request in requests}) == len(requests)
    assert make(InferenceRequest("a", {"x": 1, "y": 2})) == make(InferenceRequest("a", {"y": 2, "x": 1}))


def test_each_text_and_record_has_its_key() -> None:
    keys = KeyMaker(CHAT)
    assert keys.of_texts(EmbeddingRequest(("a", "b"))) == [
        *keys.of_texts(EmbeddingRequest(("a",))),
        *keys.of_texts(EmbeddingRequest(("b",))),
    ]
    assert keys.of_record(RecordRequest({"a": 1, "b": 2})) == keys.of_record(RecordRequest({"b": 2, "a": 1}))
    assert keys.of_record(RecordRequest({"a": 1})) != keys.of_record(RecordRequest({"a": 1.5}))
