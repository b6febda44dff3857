"""The driver's side of `coordination="driver"`: an HTTP service that leases parts of the limits to workers.

`POST /<name>` takes a `LeaseRequest` as JSON and answers with a `Lease`, to those who present the token.
`lease_connections` bounds what others can do.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
import time

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway_batch.admission.lease_connections import MOST_HEAD_BYTES, LeaseConnection
from gateway_batch.admission.lease_json import LeaseFormError, request_of
from gateway_batch.admission.lease_stores import MemoryLeaseStore
from gateway_batch.errors import ConfigError

_START_WITHIN_S = 10.0
_BACKLOG = 256
_MOST_BODY_BYTES = 64 << 10
_CLOSE = {"connection": "close"}


class LeaseServer:
    """Serves lease states from a thread of this process until it is closed.

    Args:
        bind: address to listen on.
        host: name or address that the workers reach it by.

    Attributes:
        url: that the workers send to.
        token: what they present. A secret.

    Raises:
        ConfigError: it can't listen there.
    """

    def __init__(self, bind: str, host: str) -> None:
        self.token = secrets.token_urlsafe(32)
        self._states = MemoryLeaseStore()
        app = Starlette(routes=[Route("/{name}", self._answer, methods=["POST"])])
        config = uvicorn.Config(
            app,
            http=LeaseConnection,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        listener = _listen(bind)
        port = listener.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="gateway_batch_leases", daemon=True
        )
        self._thread.start()
        until = time.monotonic() + _START_WITHIN_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise ConfigError(f"coordination: the driver's lease service could not start on {bind}")
            time.sleep(0.01)

    def close(self) -> None:
        """Stops serving. Workers send nothing more once their leases lapse."""
        self._server.should_exit = True
        self._thread.join()

    async def _answer(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return Response(status_code=401, headers=_CLOSE)
        request.state.connection.is_known = True
        body = await _body(request)
        if body is None:
            return Response(status_code=413, headers=_CLOSE)
        try:
            lease_request = request_of(body)
        except LeaseFormError as error:
            return Response(str(error), status_code=400)
        lease = self._states.exchange(request.path_params["name"], lease_request)
        return Response(orjson.dumps(lease), media_type="application/json")


async def _body(request: Request) -> bytes | None:
    """A request's body; None if it is larger than any lease request, or its sender is gone."""
    parts, size = [], 0
    with contextlib.suppress(ClientDisconnect):
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > _MOST_BODY_BYTES:
                return None
        return b"".join(parts)
    return None


def _listen(bind: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        return socket.create_server((bind, 0), family=family)
    except OSError as error:
        raise ConfigError(
            f"coordination: the driver can't listen on {bind} ({error.strerror}); spark.driver.bindAddress is where"
        ) from None
