from __future__ import annotations

import _thread
import asyncio
import os
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_batch.config import Credentials, GatewayConfig
from gateway_batch.engine import runtime as runtime_module
from gateway_batch.engine.runtime import Runtime, RuntimeSettings
from gateway_batch.errors import LedgerError
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest
from tests.waiting import WITHIN_S, wait_until

from .samples import CALLER, CHAT, chat_reply, sealed_rows


async def answer(_: HttpRequest) -> HttpReply:
    return chat_reply("hello")


def settings_in(folder: Path, **settings: object) -> RuntimeSettings:
    config = GatewayConfig.from_env(host="https://h", token="dapi-very-secret", **settings)
    return RuntimeSettings.of(config, scope="tests", registration=1, spool_dir=folder / "spool")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runtime = Runtime(settings_in(tmp_path), Credentials(), lambda: FakeTransport(answer))
    yield runtime
    runtime.close()


def test_settings_travel_as_they_are_and_without_the_token(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, max_concurrency=7, row_deadline=60, max_attempts=2, transport="httpx")
    assert (settings.coordination.concurrency, settings.row_deadline_s, settings.max_attempts) == (7, 60, 2)
    assert settings.transport == "httpx"
    travelled = pickle.dumps(settings)
    assert pickle.loads(travelled) == settings
    assert b"secret" not in travelled


def test_work_runs_on_the_runtimes_own_thread(runtime: Runtime) -> None:
    async def work() -> int:
        return threading.get_ident()

    assert runtime.submit(work).result() != threading.get_ident()


def test_records_are_sealed_at_a_tasks_end(runtime: Runtime) -> None:
    runtime.submit(lambda: runtime.client.infer(InferenceRequest("hi"), CHAT, CALLER)).result()
    runtime.end_task()
    assert len(sealed_rows(Path(runtime.settings.spool_dir))) == 1


def test_records_are_sealed_by_age_while_nothing_ends(runtime: Runtime) -> None:
    runtime.submit(lambda: runtime.client.infer(InferenceRequest("hi"), CHAT, CALLER)).result()
    wait_until(lambda: sealed_rows(Path(runtime.settings.spool_dir)))


def test_closing_stops_what_is_under_way_and_waits_for_it(runtime: Runtime) -> None:
    begun, stopped = threading.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.01)
            stopped.append(True)

    future = runtime.submit(work)
    assert begun.wait(WITHIN_S)
    runtime.close()
    assert stopped == [True]
    with pytest.raises(RuntimeError, match="closed while this call was under way"):
        future.result(0)


def test_a_closed_runtime_takes_no_work_and_may_be_closed_again(runtime: Runtime) -> None:
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        runtime.submit(lambda: asyncio.sleep(0))


def test_work_handed_in_while_it_closes_is_refused_or_stopped_and_never_hangs(tmp_path: Path) -> None:
    runtime = Runtime(settings_in(tmp_path), Credentials(), lambda: FakeTransport(answer))
    ends: list[str] = []
    answered = Counter[str]()

    def submit_until_closed() -> None:
        while True:
            try:
                runtime.submit(lambda: asyncio.sleep(0.001)).result(WITHIN_S)
            except RuntimeError as error:
                ends.append(str(error))
                return
            answered[threading.current_thread().name] += 1

    threads = [threading.Thread(target=submit_until_closed) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) == 8)
    runtime.close()
    for thread in threads:
        thread.join(WITHIN_S)
    assert len(ends) == 8
    assert all(end.startswith("the client") for end in ends)


def test_closing_on_its_own_thread_does_not_wait_for_itself(runtime: Runtime) -> None:
    async def close() -> None:
        runtime.close()
        await asyncio.sleep(600)

    with pytest.raises(RuntimeError, match="closed while"):
        runtime.submit(close).result(WITHIN_S)


def test_closing_waits_until_a_librarys_own_thread_has_left_python(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "_LEAVE_WITHIN_S", WITHIN_S)
    begun, left = threading.Event(), []

    def linger() -> None:
        begun.set()
        while not runtime.loop.is_closed():
            time.sleep(0.001)
        time.sleep(0.05)
        left.append(True)

    _thread.start_new_thread(linger, ())  # unknown to `threading`, as native threads are
    assert begun.wait(WITHIN_S)
    runtime.close()
    assert left


def test_a_forked_process_is_told_to_make_its_own(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RuntimeError, match="make one in each process"):
            runtime.submit(lambda: asyncio.sleep(0))
        runtime.close()  # its thread is in the other process: nothing to wait for
    assert runtime.submit(lambda: asyncio.sleep(0, "still open")).result() == "still open"


def test_a_spool_that_cannot_be_written_leaves_no_thread_behind(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    before = set(threading.enumerate())
    with pytest.raises(LedgerError, match="can't be written"):
        Runtime(settings_in(tmp_path), Credentials(), lambda: FakeTransport(answer))
    assert not [thread for thread in threading.enumerate() if thread.name == "gateway_batch" and thread not in before]
