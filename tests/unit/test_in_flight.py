"""A partition that has failed waits for what it paid, and starts no more."""

from __future__ import annotations

import asyncio

from gateway_batch.response_cache import InFlightRequests

from .virtual_time import now, run


async def call(delay_s: float, done: list[float]) -> float:
    await asyncio.sleep(delay_s)
    done.append(delay_s)
    return delay_s


def test_what_was_started_lands_and_no_more_starts() -> None:
    done: list[float] = []

    async def main() -> bool:
        sending = InFlightRequests()
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

    assert run(main())
    assert done == [0.01, 0.02]


def test_what_does_not_land_is_waited_for_ten_seconds() -> None:
    async def main() -> float:
        sending = InFlightRequests()
        stuck = asyncio.create_task(sending.send(call, 60.0, []))
        await asyncio.sleep(0)
        await sending.end()
        assert stuck.cancel()
        return now()

    assert run(main()) == 10
