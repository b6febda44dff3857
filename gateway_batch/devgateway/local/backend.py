"""The local models behind the gateway's services: any chat service is the chat model, any of embeddings the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx
import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gateway_batch.devgateway.ask import Answer, Ask, JsonObject, Kind
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.local import chat, embeddings
from gateway_batch.devgateway.local.model_process import ModelProcess
from gateway_batch.devgateway.local.weights import check_packages, provide_weights
from gateway_batch.devgateway.models.answering import answer as stand_in_answer
from gateway_batch.devgateway.refusals import Refusal

T = TypeVar("T")
_FOLDER = Path(__file__).parent


class LocalModels:
    """Starts both processes and waits until they are healthy.

    Custom models' endpoints keep their stand-in.

    Raises:
        ConfigError: a package or the weights are missing, or a process doesn't start.
    """

    word: ClassVar[str] = "local"
    notice: ClassVar[str] = (
        "Development gateway of gateway_batch. Its models are real and small, whatever the service is named: "
        f"{chat.MODEL} answers chat, {embeddings.MODEL} embeddings, on this machine, one request after the other. "
        "Use the stand-in models for thousands of rows."
    )

    def __init__(self) -> None:
        check_packages()
        weights = str(provide_weights())
        self.chat = ModelProcess("local chat model", _FOLDER / "chat_server.py", (weights,), report=_report)
        self.embeddings = ModelProcess("local embedding model", _FOLDER / "embedding_server.py", report=_report)
        try:
            with ThreadPoolExecutor() as threads:
                for started in [threads.submit(process.start) for process in (self.chat, self.embeddings)]:
                    started.result()
        except BaseException:
            self.chat.stop()
            self.embeddings.stop()
            raise

    def named(self, service: Service) -> Service:
        """With the name of the model that answers."""
        if service.kind is Kind.SCORING:
            return service
        return replace(service, answered_by=chat.MODEL if service.kind is Kind.CHAT else embeddings.MODEL)

    async def answer(self, ask: Ask, service: Service, receive: Receive) -> Answer:
        """When the model has it, or has refused it. It stops if the caller goes."""
        if service.kind is Kind.SCORING:
            return stand_in_answer(ask, service)
        work = self._chat(ask) if service.kind is Kind.CHAT else self._embed(ask)
        return await unless_gone(work, receive)

    def processes(self) -> dict[str, int]:
        """Both that are running."""
        found = {"chat": self.chat.pid, "embeddings": self.embeddings.pid}
        return {name: pid for name, pid in found.items() if pid is not None}

    async def close(self) -> None:
        """Stops both processes."""
        await asyncio.gather(self.chat.close(), self.embeddings.close())

    async def _chat(self, ask: Ask) -> Answer:
        chat.check_chat(ask)
        if ask.schema is not None and not ask.count_only:
            return chat.schema_answer(_read(await self.chat.post("/v1/chat/completions", chat.schema_request(ask))))
        prompt = _read(await self.chat.post("/apply-template", chat.template_request(ask)))["prompt"]
        if ask.count_only:
            return chat.count_answer(_read(await self.chat.post("/tokenize", chat.count_request(prompt))))
        return chat.text_answer(_read(await self.chat.post("/completion", chat.text_request(ask, prompt))))

    async def _embed(self, ask: Ask) -> Answer:
        embeddings.check_embeddings(ask)
        reply = await self.embeddings.post("/embeddings", embeddings.embed_request(ask))
        return embeddings.embed_answer(_read(reply))


async def unless_gone(work: Awaitable[T], receive: Receive) -> T:
    """What the work comes to, unless the caller is gone before: then it is cancelled.

    Raises:
        ClientDisconnect: the caller is gone.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _read(reply: httpx.Response) -> JsonObject:
    try:
        content: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise Refusal(500, f"A local model answered {reply.status_code} without JSON.")
    if reply.status_code != 200:
        raise chat.refusal(reply.status_code, content)
    return content


def _report(line: str) -> None:
    print(f"gateway-batch development gateway: {line}", file=sys.stderr, flush=True)
