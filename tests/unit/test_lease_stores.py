"""Lease states where they are kept: a file of several processes, the driver's service, a real Redis."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import DriverLeaseStore, HostLeaseStore, LeaseStore, RedisLeaseStore, lease_stores
from gateway_batch.admission.amount import ONE_REQUEST
from gateway_batch.admission.lease_client import LeaseStoreUnreachableError
from gateway_batch.admission.lease_server import LeaseServer
from gateway_batch.admission.leases import LeaseRequest, Limits
from gateway_batch.errors import ConfigError
from gateway_batch.local_files.locks import locked
from gateway_batch.response_cache import AnswerScope, HostAnswerStore
from gateway_batch.response_cache.store import Outbox
from gateway_batch.transport import Transport, open_transport
from gateway_batch.transport.redis_connection import connect
from tests.redis_server import RedisServer, redis_running
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.usefixtures("patient")
LIMITS = Limits(concurrency=5, max_requests=1000)


@pytest.fixture(scope="module")
def server() -> Iterator[LeaseServer]:
    server = LeaseServer("127.0.0.1", "127.0.0.1")
    yield server
    server.close()


Open = Callable[[], Any]


@pytest.fixture(params=["host", "driver", "driver-httpx", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer, server: LeaseServer) -> Open:
    """Opens one more connection to one lease state."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[LeaseStore]:
        transport: Transport | None = None
        if request.param == "host":
            state: LeaseStore = HostLeaseStore(tmp_path / "limits.sqlite")
        elif request.param == "redis":
            state = RedisLeaseStore(connect(redis.url), f"limits:{tmp_path.name}")
        else:
            transport = open_transport("httpx" if request.param == "driver-httpx" else "pyreqwest", "test")
            state = DriverLeaseStore(server.url, tmp_path.name, server.token, transport.send)
        try:
            yield state
        finally:
            await state.close()
            if transport is not None:
                await transport.close()

    return opened


def request(member: str, number: int, **reported: Any) -> LeaseRequest:
    return LeaseRequest(member, number, LIMITS, "b", need=ONE_REQUEST, **reported)


def test_members_share_one_state(open_store: Open) -> None:
    async def main() -> None:
        async with open_store() as one, open_store() as other:
            first = await one.exchange(request("one", 1, wants_slots=3, waiting=600))
            assert (first.slots, first.requests) == (3, 600)
            second = await other.exchange(request("other", 1, wants_slots=9, waiting=600))
            assert (second.slots, second.requests) == (2, 200)  # it shares what is left with the one that waits
            assert second.pool == first.pool

    asyncio.run(main())


def test_exchanges_at_the_same_time_lose_nothing(open_store: Open) -> None:
    async def member(name: str) -> None:
        async with open_store() as state:
            for number in range(1, 11):
                await state.exchange(request(name, number, settled=ONE_REQUEST))

    async def main() -> float:
        await asyncio.gather(*(member(f"m{place}") for place in range(6)))
        async with open_store() as state:
            return float((await state.exchange(request("last", 1))).spent.requests)

    assert asyncio.run(main()) == 60


def settle_often(path: Path, name: str, times: int) -> None:
    lease_stores._BUSY_TIMEOUT_S = WITHIN_S

    async def main() -> None:
        state = HostLeaseStore(path)
        for number in range(1, times + 1):
            await state.exchange(request(name, number, settled=ONE_REQUEST))
        await state.close()

    asyncio.run(main())


def test_processes_of_a_host_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "limits.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=settle_often, args=(path, f"m{place}", 200)) for place in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0

    async def spent() -> float:
        return (await HostLeaseStore(path).exchange(request("last", 1))).spent.requests

    assert asyncio.run(spent()) == 600
    assert path.stat().st_mode & 0o777 == 0o600


def open_and_close(path: Path, times: int, together: Any) -> None:
    lease_stores._BUSY_TIMEOUT_S = WITHIN_S

    async def main() -> None:
        for number in range(times):
            together.wait(WITHIN_S)
            state = HostLeaseStore(path / f"{number}.sqlite")
            await state.exchange(request(f"{os.getpid()}", 1))
            await state.close()
            together.wait(WITHIN_S)
            answers = HostAnswerStore(AnswerScope(f"{number}", path / f"{number}", "app", "1", 60), 1 << 20)
            await answers.exchange(Outbox(), [b"request"])
            await answers.close()

    asyncio.run(main())


def waits_for(lock: Path, work: Callable[[], object]) -> bool:
    """Whether work in another thread waits while a lock is held."""
    with ThreadPoolExecutor(1) as thread:
        with locked(lock):
            done = thread.submit(work)
            waited = not wait([done], 0.2).done
        done.result(WITHIN_S)
    return waited


def test_files_are_opened_and_closed_under_a_lock(tmp_path: Path) -> None:
    """SQLite doesn't wait for a file whose journal mode another process sets, nor for one that the last one closes."""
    opened: list[HostLeaseStore] = []
    its_lock = tmp_path / "limits.sqlite.lock"
    assert waits_for(its_lock, lambda: opened.append(HostLeaseStore(tmp_path / "limits.sqlite")))
    assert waits_for(its_lock, lambda: asyncio.run(opened[0].close()))
    scope = AnswerScope("answers", tmp_path / "answers", "app", "1", 60)
    scope.folder.mkdir()
    answers = HostAnswerStore(scope, 1 << 20)
    assert waits_for(scope.folder / "opening", lambda: asyncio.run(answers.exchange(Outbox(), [b"request"])))
    assert waits_for(scope.folder / "opening", lambda: asyncio.run(answers.close()))


@pytest.mark.parametrize("files", [20, pytest.param(100, marks=pytest.mark.nightly)])
def test_processes_that_open_a_new_file_together_all_can(tmp_path: Path, files: int) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(4)
    processes = [context.Process(target=open_and_close, args=(tmp_path, files, together)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def unreachable(open_: Callable[[], Awaitable[LeaseStore]]) -> str:
    async def main() -> str:
        state = await open_()
        with pytest.raises(LeaseStoreUnreachableError) as caught:
            await state.exchange(request("one", 1))
        return str(caught.value)

    return asyncio.run(main())


def test_the_drivers_service_wants_its_token(server: LeaseServer) -> None:
    async def open_() -> LeaseStore:
        return DriverLeaseStore(server.url, "limits", "guessed", open_transport("pyreqwest", "test").send)

    assert "401" in unreachable(open_)


def test_a_driver_that_is_gone_is_said(server: LeaseServer) -> None:
    gone = LeaseServer("127.0.0.1", "127.0.0.1")
    gone.close()

    async def open_() -> LeaseStore:
        return DriverLeaseStore(gone.url, "limits", gone.token, open_transport("pyreqwest", "test").send)

    said = unreachable(open_)
    assert "the driver doesn't answer" in said
    assert gone.token not in said


def test_a_redis_that_is_gone_is_said(tmp_path: Path) -> None:
    with redis_running(tmp_path, password="very-secret") as gone:
        url = gone.url

    async def open_() -> LeaseStore:
        return RedisLeaseStore(connect(url), "limits")

    said = unreachable(open_)
    assert "Redis" in said
    assert "very-secret" not in said


def test_a_service_that_can_not_listen_says_where() -> None:
    with pytest.raises(ConfigError, match=r"can't listen on 203\.0\.113\.1"):
        LeaseServer("203.0.113.1", "203.0.113.1")
