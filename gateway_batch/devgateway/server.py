"""Runs the gateway in this process."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from gateway_batch.devgateway.app import create_app
from gateway_batch.devgateway.connection import ClosableProtocol
from gateway_batch.devgateway.settings import Settings, check_exposure
from gateway_batch.errors import ConfigError

GRACE_S = 30
KEEP_ALIVE_S = 120
_BACKLOG = 2048


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way, closes the ledger and returns.

    Prints one line on stdout once it listens.

    Raises:
        ConfigError: the port is taken, the ledger can't be opened, the address needs a token, or the local models can't
            run.
    """
    check_exposure(settings)
    listener = _listen(settings)
    try:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            http=ClosableProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        state = app.state.gateway
        ready = ready_line(url_of(listener), str(state.ledger.path), state.backend.word)
        with _stopped_by_signals():
            _Server(config, ready).run(sockets=[listener])
    finally:
        listener.close()


def url_of(listener: socket.socket) -> str:
    """The base URL of what is listened on."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ready_line(url: str, ledger: str, models: str) -> str:
    """What is printed when the gateway listens."""
    return f"gateway-batch development gateway ({models} models) listening on {url} (usage ledger: {ledger})"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready, flush=True)


def _listen(settings: Settings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"cannot listen on {settings.host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another port, or 0 for any"
        ) from error
    return listener


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGINT a clean end: uvicorn stops on them, then raises them again for whoever ran it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
