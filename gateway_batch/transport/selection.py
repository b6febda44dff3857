"""Opens a transport by the name that the setting `transport` has for it; its library is loaded then."""

from __future__ import annotations

import importlib
import sys
import threading
from concurrent.futures import Future
from typing import assert_never

from gateway_batch.config import TransportName
from gateway_batch.transport.base import MOST_BYTES, Transport

_REQWEST = "gateway_batch.transport.reqwest"
_importing = threading.Lock()


def open_transport(name: TransportName, user_agent: str, most_bytes: int = MOST_BYTES) -> Transport:
    """A transport of this process: use it on one event loop, after any fork.

    Args:
        name: of the library.
        user_agent: the User-Agent of every request.
        most_bytes: of an answer's body, unpacked; more is an error.
    """
    match name:
        case "pyreqwest":
            _import_on_a_lasting_thread(_REQWEST)
            from gateway_batch.transport.reqwest import ReqwestTransport

            return ReqwestTransport(user_agent, most_bytes)
        case "httpx":
            from gateway_batch.transport.httpx_transport import HttpxTransport

            return HttpxTransport(user_agent, most_bytes)
    assert_never(name)


def _import_on_a_lasting_thread(module: str) -> None:
    """Imports a module on the main thread, or on one that never ends.

    Once the thread has ended that imported pyreqwest 0.15, opening a client ends the process by a segmentation fault.
    """
    with _importing:
        if module in sys.modules:
            return
        if threading.current_thread() is threading.main_thread():
            importlib.import_module(module)
            return
        imported = Future[None]()
        threading.Thread(
            target=_import_and_stay, args=(module, imported), name="gateway_batch_http", daemon=True
        ).start()
        imported.result()


def _import_and_stay(module: str, imported: Future[None]) -> None:
    try:
        importlib.import_module(module)
    except BaseException as error:
        imported.set_exception(error)
        return
    imported.set_result(None)
    threading.Event().wait()
