"""A partition that has failed waits for what it paid, and starts no more."""

from __future__ import annotations

import asyncio

import pytest

from gateway_batch.cache import UnderWay, under_way


async def call(delay_s: float, done: list[float]) -> float:
    await asyncio.sleep(delay_s)
    done.append(delay_s)
    return delay_s


def test_what_was_started_lands_and_no_more_starts() -> None:
    done: list[float] = []

    async def main() -> bool:
        sending = UnderWay()
        early = [asyncio.create_task(sending.send(call, delay_s, done)) for delay_s in (0.01, 0.02)]
        await asyncio.sleep(0)
        ending = asyncio.create_task(sending.end())
        await asyncio.sleep(0)
        late = asyncio.create_task(sending.send(call, 0.0, done))
        await ending
        assert [task.result() for task in early] == [0.01, 0.02]
        await sending.end()
        late.cancel()
        return (await asyncio.wait([late]))[0].pop().cancelled()

    assert asyncio.run(main())
    assert done == [0.01, 0.02]


def test_what_does_not_land_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_way, "_WAIT_S", 0.01)

    async def main() -> bool:
        sending = UnderWay()
        stuck = asyncio.create_task(sending.send(call, 60.0, []))
        await asyncio.sleep(0)
        await sending.end()
        return stuck.cancel()

    assert asyncio.run(main())
