"""What waited for its rate in vain is another process's to try, while the one that failed lives on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.response_cache import SingleFlight
from tests.redis_server import redis_running
from tests.unit.answer_stores import A, claimed_elsewhere, open_store, scope_in


@pytest.mark.parametrize("place", ["host", "redis"])
def test_a_claim_goes_with_the_failure_of_its_request(place: str, tmp_path: Path) -> None:
    if place == "host":
        fail_and_let_another_claim("", tmp_path)
    else:
        with redis_running(tmp_path) as server:
            fail_and_let_another_claim(server.url, tmp_path)


def fail_and_let_another_claim(url: str, folder: Path) -> None:
    async def fail() -> None:
        raise CallError(ErrorKind.RATE_LIMIT, "overloaded", status=429)

    async def main() -> str:
        async with open_store(url, scope_in(folder)) as store:
            single_flight = SingleFlight(store, keep_failures=True)
            with pytest.raises(CallError, match="overloaded"):
                await single_flight.answer(A, fail)
            await single_flight.flush()
            said = await asyncio.to_thread(claimed_elsewhere, url, folder)
            await single_flight.close()
            return said

    assert asyncio.run(main()) == "held\nkept\n"
