"""What a store gives back may be another version's, or anybody's: what is not understood counts as not kept."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.response_cache import SingleFlight
from gateway_batch.spark.worker.kept_values import fits_of
from gateway_batch.transport.redis_connection import connect
from gateway_batch.types import Task
from tests.redis_server import RedisServer
from tests.unit.single_flight_bench import Sender, Store

from .answer_stores import A, B

pytestmark = pytest.mark.usefixtures("patient")

ODD_ANSWERS = [
    b"",
    b"{not json",
    b"[1]",
    b"{}",
    b'{"of_later": 1}',
    b'{"exact": 5}',
    b'{"exact": "{"}',
    b'{"kind": "quota_of_later", "message": "m", "status": null, "event_id": null}',
    b'{"kind": "server", "message": 5, "status": null, "event_id": null}',
    b'{"kind": ["server"], "message": "m", "status": {}}',
    b'{"value": "no number"}',
    b"\xff\xfe" * 50,
]


@pytest.mark.parametrize("odd", ODD_ANSWERS, ids=str)
def test_a_kept_answer_of_unknown_form_is_not_kept(store: Store, odd: bytes, caplog: pytest.LogCaptureFixture) -> None:
    keep(store, b"a" + odd if store.url else odd)
    send = Sender()

    async def work(single_flight: SingleFlight) -> list[Any]:
        alone = await single_flight.answer(A, send, fits=is_number)
        await single_flight.flush()
        return [alone, *await single_flight.answer_all([A, A], unused, is_number)]

    assert store.run(work) == [1, 1, 1]
    assert store.run(lambda single_flight: single_flight.answer(A, send, fits=is_number)) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert "a kept answer is not understood" in caplog.text


@pytest.mark.parametrize("odd", [5, "text", 1.5, "\udcff"], ids=ascii)
def test_a_kept_answer_of_another_type_is_not_kept(tmp_path: Path, odd: object) -> None:
    store = Store("", tmp_path)
    keep(store, odd)
    assert store.run(lambda single_flight: single_flight.answer(A, Sender())) == 1


@pytest.mark.parametrize("owner", [-1, 10**15, "text", 1.5, None])
def test_a_claim_of_unknown_form_holds_nothing(tmp_path: Path, owner: object) -> None:
    store = Store("", tmp_path)
    keep(store, b"{}")
    with contextlib.closing(sqlite3.connect(tmp_path / "answers.sqlite")) as database:
        database.execute("DROP TABLE claims")
        database.execute("CREATE TABLE claims (key BLOB PRIMARY KEY, owner)")
        database.execute("INSERT INTO claims VALUES (?, ?)", (B, owner))
        database.commit()
    assert store.run(lambda single_flight: single_flight.answer(B, Sender())) == 1


def is_number(value: object) -> bool:
    return isinstance(value, int)


async def unused(places: Sequence[int]) -> list[Any]:
    raise AssertionError


def keep(store: Store, value: Any) -> None:
    """Puts a value in the place of request A's answer."""

    async def in_redis() -> None:
        client = connect(store.url)
        await client.set(f"gateway_batch:tests:{store.folder.name}:{A.hex()}", value)
        await client.aclose()

    if store.url:
        return asyncio.run(in_redis())
    store.run(lambda single_flight: single_flight.answer(B, Sender()))
    with contextlib.closing(sqlite3.connect(store.folder / "answers.sqlite")) as database:
        if value == "\udcff":
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, CAST(x'ff' AS TEXT), NULL)", (A,))
        else:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, NULL)", (A, value))
        database.commit()


@pytest.mark.parametrize("kind", ["a letter of later", "another type"])
def test_what_in_redis_is_not_ours_is_left_alone(
    redis: RedisServer, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And harms no other row."""
    store, name = Store(redis.url, tmp_path), f"gateway_batch:tests:{tmp_path.name}:{A.hex()}"

    async def put() -> None:
        client = connect(redis.url)
        await (client.rpush(name, "one") if kind == "another type" else client.set(name, b"zv2 later"))
        await client.aclose()

    async def kept() -> Any:
        client = connect(redis.url)
        try:
            return await (client.lrange(name, 0, -1) if kind == "another type" else client.get(name))
        finally:
            await client.aclose()

    async def work(single_flight: SingleFlight) -> list[Any]:
        answers = [await single_flight.answer(A, Sender()), await single_flight.answer(B, Sender())]
        await single_flight.flush()
        return answers

    asyncio.run(put())
    assert store.run(work) == [1, 1]
    assert asyncio.run(kept()) == ([b"one"] if kind == "another type" else b"zv2 later")
    assert store.run(lambda single_flight: single_flight.answer(B, Sender(None, None))) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert name in caplog.text


DETAILS = {"value": "text", "eventId": "e", "model": "m", "inputTokens": 3, "outputTokens": None}


@pytest.mark.parametrize(
    ("task", "details", "value", "fits"),
    [
        (Task.CHAT, False, "text", True),
        (Task.CHAT, False, 5, False),
        (Task.CHAT, False, None, False),
        (Task.CHAT, False, {"value": "text"}, False),
        (Task.CHAT, True, DETAILS, True),
        (Task.CHAT, True, "text", False),
        (Task.CHAT, True, {}, False),
        (Task.CHAT, True, DETAILS | {"value": 5}, False),
        (Task.CHAT, True, DETAILS | {"inputTokens": -1}, False),
        (Task.CHAT, True, DETAILS | {"outputTokens": 10**8 + 1}, False),
        (Task.CHAT, True, DETAILS | {"inputTokens": 1.5}, False),
        (Task.CHAT, True, DETAILS | {"model": ["m"]}, False),
        (Task.CHAT, True, DETAILS | {"finishReason": "stop", "reasoningTokens": 2}, True),
        (Task.CHAT, True, DETAILS | {"finishReason": 1}, False),
        (Task.CHAT, True, DETAILS | {"reasoningTokens": "2"}, False),
        (Task.EMBEDDINGS, False, [0.5, 1, -2.0], True),
        (Task.EMBEDDINGS, False, [0.5, "1"], False),
        (Task.EMBEDDINGS, False, [True], False),
        (Task.EMBEDDINGS, False, [], False),
        (Task.EMBEDDINGS, False, [float("inf")], False),
        (Task.EMBEDDINGS, False, [10**400], True),
        (Task.EMBEDDINGS, False, "text", False),
        (Task.EMBEDDINGS, False, [[0.5]], False),
        (Task.SCORING, True, DETAILS | {"value": None}, True),
    ],
)
def test_a_value_fits_what_its_request_is_answered_with(task: Task, details: bool, value: object, fits: bool) -> None:
    check = fits_of(task, details=details)
    assert check is not None
    assert check(value) is fits


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"value": "text", "confidences": [0.5, 1.0]}, True),
        ({"value": "text", "confidences": None}, True),
        ({"value": "text"}, True),
        ({"value": 5, "confidences": None}, False),
        ({"value": "text", "confidences": [1.5]}, False),
        ({"value": "text", "confidences": ["0.5"]}, False),
        ({"value": "text", "confidences": {"0": 0.5}}, False),
        ("text", False),
    ],
)
def test_an_answer_may_be_kept_with_its_confidences(value: object, fits: bool) -> None:
    check = fits_of(Task.CHAT, details=False, confidences=True)
    assert check is not None
    assert check(value) is fits


def test_any_value_fits_a_custom_model() -> None:
    assert fits_of(Task.SCORING, details=False) is None
