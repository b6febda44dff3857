"""Starts a model's server as a child process, waits until it is healthy, and ends it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from gateway_batch.errors import ConfigError

START_S = 60
_STOP_S = 5
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One that is healthy. It ends with this process, however this one ends, as its stdin closes then."""

    url: str
    child: subprocess.Popen[bytes]

    def wait(self) -> str:
        """Until it has ended; how it did."""
        return _ending(self.child.wait())

    def end(self) -> None:
        """Ends it, and waits until it has ended."""
        _end(self.child)


def start_server(name: str, program: Path, arguments: tuple[str, ...], *, key: str) -> ModelServer:
    """A server in a new process.

    Args:
        name: for errors.
        program: its Python file, which takes the key as a line on stdin and prints its address.
        arguments: of the program.
        key: what its only caller presents.

    Raises:
        ConfigError: it ended, or wasn't healthy within `START_S` seconds.
    """
    with tempfile.TemporaryFile() as errors:
        # A session of its own: an interrupt at the terminal is for the gateway, which answers what is under way.
        child = subprocess.Popen(
            (sys.executable, "-P", str(program), *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        late = threading.Event()
        watchdog = threading.Timer(START_S, _give_up, (child, late))
        watchdog.start()
        try:
            url = _address(child, key)
            if not url or not _is_healthy(child, url):
                reason = f"was not ready within {START_S} s" if late.is_set() else _last_words(child, errors)
                raise ConfigError(f"the {name} did not start: it {reason}")
        except BaseException:
            _end(child)
            raise
        finally:
            watchdog.cancel()
    return ModelServer(url, child)


def _address(child: subprocess.Popen[bytes], key: str) -> str:
    """What it prints once it has its key; nothing if it has ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):
        child.stdin.write(key.encode() + b"\n")
        child.stdin.flush()
    return child.stdout.readline().decode().strip()


def _is_healthy(child: subprocess.Popen[bytes], url: str) -> bool:
    """Waits until it is; False once it has ended."""
    with httpx.Client(trust_env=False, timeout=START_S) as client:
        while child.poll() is None:
            with suppress(httpx.TransportError):
                if client.get(f"{url}/health").status_code == 200:
                    return True
            time.sleep(_PAUSE_S)
    return False


def _give_up(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _last_words(child: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    """How it ended, and the last line that it wrote."""
    code = child.wait()
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    return ": ".join((_ending(code), *said[-1:]))


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
