"""A real redis-server on a free port of the loopback interface, for tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OWN = Path(__file__).parent.parent / ".tools" / "redis" / "redis-server"
_READY_WITHIN_S = 60.0


class RedisServer:
    """A server that keeps nothing on disk. `kill` it and `start` it again on the same port.

    Args:
        folder: for its log and its working directory.
        password: what clients have to give, if any.

    Attributes:
        port: on 127.0.0.1.
        url: with the password, if there is one.
    """

    def __init__(self, folder: Path, password: str | None = None) -> None:
        self._folder = folder
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        assert self._process is None
        log = self._folder / f"redis-{self.port}.log"
        command = [_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--logfile", str(log), "--dir", str(self._folder)]
        command += ["--requirepass", self._password] if self._password else []
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        until = time.monotonic() + _READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"redis-server does not start: {log.read_text() if log.exists() else 'no log'}")
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def redis_running(folder: Path, password: str | None = None) -> Iterator[RedisServer]:
    """A server for as long as the context lasts."""
    server = RedisServer(folder, password)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _binary() -> str:
    found = shutil.which("redis-server") or (str(_OWN) if _OWN.exists() else None)
    if found is None:
        raise RuntimeError("there is no redis-server: run scripts/redis.sh, or install it")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
