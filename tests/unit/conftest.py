"""Every unit test starts from an environment without settings of its own; some wait long for others at work."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import lease_stores
from gateway_batch.transport import redis_connection
from gateway_batch.usage.spool import prepare
from tests.redis_server import RedisServer, redis_running
from tests.waiting import WITHIN_S

from .client_bench import Bench, client_bench
from .executor_bench import player
from .loop_thread import loop_thread
from .samples import killed_writer
from .single_flight_bench import Store


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith(("GATEWAY_BATCH_", "DATABRICKS_")):
            monkeypatch.delenv(variable)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a store or a Redis may answer late."""
    for name in ("_WITHIN_S", "_ALL_WITHIN_S"):
        monkeypatch.setattr(redis_connection, name, WITHIN_S)
    for name in ("_BUSY_TIMEOUT_S", "_ANSWER_WITHIN_S"):
        monkeypatch.setattr(lease_stores, name, WITHIN_S)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with loop_thread() as loop:
        yield loop
        assert not asyncio.all_tasks(loop), "work was left behind"


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Any]:
    return player(tmp_path)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["host", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A scope's answers on this host, and in Redis."""
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    return Store(url, tmp_path)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with client_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool folder."""
    prepare(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def dead(tmp_path: Path, spool: Path) -> Path:
    """The spool folder of a killed writer."""
    return killed_writer(tmp_path, spool)
