"""Whole answers as bytes over a socket: a result or the row's own error, and as many requests as that error asks for.

Each wire format is sent 200 of them, the same in every run, and nightly 17,000, more than 100,000 together; with
another FUZZ_SEED in the environment, others.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from gateway_batch.admission import Limiter
from gateway_batch.apis import task_of
from gateway_batch.config import Credentials
from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.engine.request_executor import CallPolicy, RequestExecutor
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.transport import open_transport
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    InferenceRequest,
    InferenceResult,
    RecordRequest,
    Service,
    Task,
)
from gateway_batch.usage.record import UsageRecord
from tests.unit.samples import CALLER

from .test_mutated_answers import APIS
from .whole_answers import DamagingServer

SEED = os.environ.get("FUZZ_SEED", "1")
SECRET = "dapi-0123456789abcdef"
AT_ONCE = 64
MOST_BYTES = 1 << 20
CALLS: dict[Task, AnyRequest] = {
    Task.CHAT: InferenceRequest("what?"),
    Task.EMBEDDINGS: EmbeddingRequest(("what?",)),
    Task.SCORING: RecordRequest({"a": 1}),
}
POLICY = CallPolicy(RetryPolicy(attempts=2), request_timeout_s=2.0, row_deadline_s=60.0, max_retry_after_s=0.05)


class KeptRecords:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.intended: dict[str, UsageRecord] = {}
        self.settled: Counter[str] = Counter()

    def intend(self, record: UsageRecord) -> None:
        assert record.invocation_id is not None
        self.intended[record.invocation_id] = record

    def settle(self, record: UsageRecord) -> None:
        assert record.invocation_id is not None
        self.settled[record.invocation_id] += 1


def no_pause(_: float) -> Awaitable[None]:
    return asyncio.sleep(0)


def check_attempts(outcome: Any, kinds: list[str | None]) -> None:
    """Whether a row was tried again where that may help, and only there; `kinds` are its attempts' errors."""
    follows = [None if kind is None else CONSEQUENCES[ErrorKind(kind)] for kind in kinds]
    waited = [
        kind == ErrorKind.RATE_LIMIT or (then is not None and then.is_waited_out)
        for kind, then in zip(kinds, follows, strict=True)
    ]
    again = [then is not None and (then.is_retried or late) for then, late in zip(follows, waited, strict=True)]
    counted = sum(then is not None and then.is_retried for then in follows)
    assert all(again[:-1])
    assert counted <= POLICY.retry.attempts
    assert not again[-1] or counted == POLICY.retry.attempts
    assert isinstance(outcome, InferenceResult) is (kinds[-1] is None)


def check_row(outcome: Any, records: list[UsageRecord], seen: set[str]) -> str:
    """What became of a row, if it is what may become of one; `seen` are the attempts that reached the server."""
    assert isinstance(outcome, InferenceResult | CallError), repr(outcome)
    assert SECRET not in f"{outcome!r} {records!r}"
    check_attempts(outcome, [record.client_metadata.error_kind for record in records if record.client_metadata])
    for record in records:
        metadata = record.client_metadata
        assert metadata is not None
        assert metadata.outcome == ("no_answer" if record.status_code is None else "answered")
        assert metadata.outcome == "no_answer" or record.invocation_id in seen, "it has another request's answer"
    if isinstance(outcome, CallError):
        assert len(str(outcome)) < 2_000
        return outcome.kind.value
    return "result"


@pytest.mark.parametrize("count", [200, pytest.param(17_000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("api", APIS)
def test_no_answer_harms_more_than_its_row(api: str, count: int) -> None:
    async def main() -> Counter[str]:
        loop, ledger = asyncio.get_running_loop(), KeptRecords()
        transport = open_transport("pyreqwest", "tests", MOST_BYTES)
        limiter = Limiter(None, AT_ONCE, loop.time, lambda: 0.0)
        credentials = Credentials({"value:token": SECRET})
        executor = RequestExecutor(transport, ledger, limiter, credentials, policy=POLICY, sleep=no_pause)
        turns, sorts = asyncio.Semaphore(AT_ONCE), Counter[str]()
        async with DamagingServer(SEED, api) as server:
            service = Service("e", api, server.url, "m", credential="value:token")

            async def one(number: int) -> None:
                url = f"{server.url}/{number}"  # a service of its own, so that its 429 holds up no other row
                async with turns:
                    try:
                        outcome: Any = await executor.infer(CALLS[task_of(api)], replace(service, url=url), CALLER)
                    except Exception as error:
                        outcome = error
                records = [record for record in ledger.intended.values() if record.url == url]
                try:
                    sorts[check_row(outcome, records, server.event_ids)] += 1
                except AssertionError as error:
                    raise AssertionError(f"answer {number} of {api}, seed {SEED}: {error}") from error
                for record in records:
                    del ledger.intended[record.invocation_id or ""]

            await asyncio.gather(*map(one, range(count)))
            assert set(ledger.settled.values()) == {1}
            assert ledger.settled.keys() >= server.event_ids
            await limiter.close()
            await transport.close()
        return sorts

    sorts = asyncio.run(main())
    assert sorts["result"] > count / 20, f"the damage is too great to find much: {sorts}"
    assert sum(sorts.values()) - sorts["result"] > count / 4
