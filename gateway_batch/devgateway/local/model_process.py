"""A model that runs in a process of its own: asked, watched, and started again when the process ends."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway_batch.devgateway.ask import JsonObject
from gateway_batch.devgateway.local.model_server import START_S, ModelServer, start_server
from gateway_batch.devgateway.refusals import Refusal
from gateway_batch.errors import ConfigError

ANSWER_S = 300
_PAUSE_S = 0.05
_NOTICED_S = 0.5
_STEADY_S = 60
_MOST_QUICK_ENDS = 5
_AT_A_TIME = 2

Report = Callable[[str], None]


class ModelProcess:
    """One model.

    Args:
        name: for reports and errors.
        program: the Python file of its server.
        arguments: of the program.
        report: takes a line when the process ends by itself, and when it is started again.
    """

    def __init__(self, name: str, program: Path, arguments: tuple[str, ...] = (), *, report: Report) -> None:
        self.name = name
        self._program = program
        self._arguments = arguments
        self._report = report
        self._key = secrets.token_urlsafe(16)
        self._server: ModelServer | None = None
        self._stopping = threading.Event()
        self._gave_up: str | None = None
        self._watcher: threading.Thread | None = None
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._client: httpx.AsyncClient | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        server = self._server
        return server.child.pid if server else None

    def start(self) -> None:
        """Starts it, waits until it is healthy, and watches it from then on.

        Raises:
            ConfigError: it ended, or wasn't healthy in time.
        """
        self._server = self._begin()
        self._watcher = threading.Thread(target=self._watch, args=(self._server,), daemon=True)
        self._watcher.start()

    async def post(self, path: str, body: JsonObject) -> httpx.Response:
        """Its answer, whatever the status. At most two requests are sent at a time, the others wait here.

        Raises:
            Refusal: 503 if it has ended, 504 if it doesn't answer.
        """
        async with self._turns:
            try:
                return await self._sent(path, body)
            except httpx.ConnectError:  # it has just ended, and was sent nothing
                await asyncio.sleep(_NOTICED_S)
            try:
                return await self._sent(path, body)
            except httpx.ConnectError as error:
                raise self._not_there("is down") from error

    async def close(self) -> None:
        """Stops it."""
        if self._client is not None:
            await self._client.aclose()
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Ends the process, and waits until it has ended."""
        self._stopping.set()
        if self._server is not None:
            self._server.end()
        if self._watcher is not None:
            self._watcher.join(START_S)

    def _begin(self) -> ModelServer:
        return start_server(self.name, self._program, self._arguments, key=self._key)

    def _watch(self, server: ModelServer) -> None:
        quick = 0
        while True:
            began = time.monotonic()
            ended = server.wait()
            self._server = None
            if self._stopping.is_set():
                return
            quick = quick + 1 if time.monotonic() - began < _STEADY_S else 0
            self._report(f"the {self.name} {ended}")
            try:
                if quick >= _MOST_QUICK_ENDS:
                    raise ConfigError(f"the {self.name} ended {quick} times, each within {_STEADY_S} s of its start")
                server = self._begin()
            except ConfigError as error:
                self._gave_up = f"{error}; restart the gateway"
                self._report(self._gave_up)
                return
            if self._stopping.is_set():
                server.end()
                return
            self._server = server
            self._report(f"the {self.name} was started again")

    async def _sent(self, path: str, body: JsonObject) -> httpx.Response:
        server = await self._ready()
        try:
            return await self._opened().post(server.url + path, json=body)
        except httpx.ConnectError:
            raise
        except httpx.TimeoutException as error:
            raise Refusal(504, f"The {self.name} did not answer within {ANSWER_S} s.") from error
        except httpx.TransportError as error:
            raise self._not_there("ended while it answered") from error

    async def _ready(self) -> ModelServer:
        waited_s = 0.0
        while (server := self._server) is None:
            if self._gave_up is not None or waited_s > START_S:
                raise self._not_there("is down")
            await asyncio.sleep(_PAUSE_S)
            waited_s += _PAUSE_S
        return server

    def _not_there(self, what: str) -> Refusal:
        if self._gave_up is not None:
            return Refusal(503, f"The development gateway can't answer: {self._gave_up}.")
        return Refusal(503, f"The {self.name} {what}.", headers={"retry-after": "1"})

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            headers = {"authorization": f"Bearer {self._key}"}
            # A server closes an idle connection when it likes to: none is kept.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._client = httpx.AsyncClient(trust_env=False, timeout=ANSWER_S, headers=headers, limits=limits)
        return self._client
