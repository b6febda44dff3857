"""Plays calls of a request executor against answers, in virtual time, with a spool of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import HostSlots, Limiter
from gateway_batch.config import Credentials
from gateway_batch.engine.request_executor import CallPolicy, RequestExecutor
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import (
    CallError,
)
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, InferenceResult, Service
from gateway_batch.usage.spool import SpoolWriter

from .samples import CALLER, CHAT, chat_reply, reply, sealed_rows
from .virtual_time import run

SECRET = "dapi-very-secret"


FAST = RetryPolicy(attempts=3, base_s=1.0, cap_s=8.0)


Answer = HttpReply | Exception | float
"""A reply, what the transport raises, or seconds until it answers `slow`."""


@dataclass
class Bench:
    """A client and all that it works with."""

    client: RequestExecutor
    transport: FakeTransport
    spool_dir: Path
    naps: list[float]
    sent_at: list[float]

    async def infer(self, text: str = "hi", service: Service = CHAT, **tags: str) -> InferenceResult:
        return await self.client.infer(InferenceRequest(text, tags=tags), service, CALLER)

    async def failure(self, service: Service = CHAT) -> CallError:
        with pytest.raises(CallError) as caught:
            await self.infer(service=service)
        return caught.value


Scene = Callable[[Bench], Awaitable[Any]]


class Script:
    """Answers in turn, the last one forever."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = list(answers)

    async def __call__(self, _: HttpRequest) -> HttpReply:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return chat_reply("slow")
        return answer


DOWN = reply(500, {"message": "down"})


def player(folder: Path) -> Callable[..., Any]:
    """Plays a scene against answers; returns what the scene did and the usage rows."""

    def play(
        scene: Scene,
        answers: Iterable[Answer] | Callable[[HttpRequest], Awaitable[HttpReply]],
        policy: CallPolicy = CallPolicy(FAST),
        ceiling: int = 4,
        event_id_tag: str | None = None,
    ) -> tuple[Any, list[dict[str, Any]]]:
        async def main() -> Any:
            loop = asyncio.get_running_loop()
            naps: list[float] = []
            sent_at: list[float] = []
            script = answers if callable(answers) else Script(answers)

            async def answer(request: HttpRequest) -> HttpReply:
                sent_at.append(loop.time())
                return await script(request)

            async def nap(seconds: float) -> None:
                naps.append(seconds)
                await asyncio.sleep(seconds)

            transport = FakeTransport(answer)
            spool = SpoolWriter(folder / "spool", loop.call_soon)
            limiter = Limiter(HostSlots(folder / "slots", ceiling), ceiling, loop.time, lambda: 0.5)
            client = RequestExecutor(
                transport,
                spool,
                limiter,
                Credentials({"value:token": SECRET}),
                policy=policy,
                event_id_tag=event_id_tag,
                clock=loop.time,
                sleep=nap,
                rng=lambda: 0.5,
            )
            try:
                return await scene(Bench(client, transport, folder / "spool", naps, sent_at))
            finally:
                await limiter.close()
                spool.close()

        return run(main()), sealed_rows(folder / "spool")

    return play
