"""Transports opened on threads that end, as event loops of runtimes and of users do."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, threading
from gateway_batch.transport import open_transport

async def open_and_close():
    await open_transport("pyreqwest", "test").close()

def on_a_thread():
    thread = threading.Thread(target=lambda: asyncio.run(open_and_close()))
    thread.start()
    thread.join()

on_a_thread()
on_a_thread()
asyncio.run(open_and_close())
print("opened three")
"""


def test_a_transport_opens_after_the_thread_that_opened_the_first_has_ended() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "opened three\n"), done.stderr
