"""A process that asks 64 rows at once, first without and then with one that is answered in a hostile way.

It prints one JSON object: for each of the two the seconds until the last of the other 63 rows was answered, how many of
these were, and what became of the row; and by how many MB the second raised the process's largest memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import MODEL
from gateway_batch import Client, GatewayConfig
from gateway_batch.errors import CallError

ROWS = 64
_HOSTILE_ROW = 17


async def _rows(client: Client, marked: str) -> dict[str, Any]:
    began = time.perf_counter()

    async def one(number: int) -> tuple[float, str]:
        text = marked if number == _HOSTILE_ROW else f"row {number} of {time.monotonic_ns()}"
        try:
            await client.aquery(MODEL, text)
            outcome = "answered"
        except CallError as error:
            outcome = error.kind.value
        except Exception as error:
            outcome = f"raised {type(error).__name__}"
        return time.perf_counter() - began, outcome

    found = await asyncio.gather(*map(one, range(ROWS)))
    others = [each for number, each in enumerate(found) if number != _HOSTILE_ROW]
    return {
        "seconds": max(seconds for seconds, _ in others),
        "answered": sum(outcome == "answered" for _, outcome in others),
        "outcome": found[_HOSTILE_ROW][1],
    }


def _largest_mb() -> float:
    """Of this process's own memory; what `getrusage` says has that of its parent in it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _main(port: str, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        config = GatewayConfig.from_env(
            host=f"http://127.0.0.1:{port}",
            token="dapi-0123456789",
            spool_dir=folder,
            request_timeout=3.0,
            row_deadline=6.0,
            max_attempts=2,
        )
        with Client(config) as client:
            asyncio.run(_rows(client, "a row"))
            clean, before = asyncio.run(_rows(client, "a row")), _largest_mb()
            hostile = asyncio.run(_rows(client, f"hostile {name}"))
            print(json.dumps({"clean": clean, "hostile": hostile, "more_mb": _largest_mb() - before}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
