"""The raw client loop: the same HTTP library, the same requests, and nothing else.

Run as a child: it sends its rows and prints one JSON object with `rows`, `seconds` and `cpu_s`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time

from pyreqwest.client import Client, ClientBuilder

from benchmarks.load import TOKEN, body

_HEADERS = {"content-type": "application/json", "accept": "application/json", "authorization": f"Bearer {TOKEN}"}


class WrongAnswerError(Exception):
    """An answer was not 200."""


async def _post(client: Client, url: str, data: bytes) -> None:
    response = await client.post(url).body_bytes(data).build().send()
    if response.status != 200:
        raise WrongAnswerError(f"the server answered {response.status}")
    await response.bytes()


async def send(client: Client, url: str, rows: int, lanes: int) -> None:
    """Sends `rows` requests, `lanes` at once."""
    todo, data = iter(range(rows)), body(0)

    async def lane() -> None:
        for _ in todo:
            await _post(client, url, data)

    await asyncio.gather(*(lane() for _ in range(lanes)))


async def send_paced(client: Client, url: str, rows: int, rate: float) -> None:
    """Sends `rows` requests, one each 1/`rate` seconds, however long the answers take."""
    loop, data = asyncio.get_running_loop(), body(0)
    started = loop.time()
    async with asyncio.TaskGroup() as running:
        for row in range(rows):
            await asyncio.sleep(started + row / rate - loop.time())
            running.create_task(_post(client, url, data))


async def measure(url: str, rows: int, lanes: int, rate: float | None) -> dict[str, float]:
    """Rows, seconds and CPU seconds of one run."""
    async with ClientBuilder().default_headers(_HEADERS).build() as client:
        started, cpu = time.perf_counter(), time.process_time()
        await (send(client, url, rows, lanes) if rate is None else send_paced(client, url, rows, rate))
        return {"rows": rows, "seconds": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--lanes", type=int, default=1, help="requests at once")
    parser.add_argument("--rate", type=float, help="requests a second, evenly spaced, in place of lanes")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.url, options.rows, options.lanes, options.rate))), flush=True)
    os._exit(0)  # pyreqwest's own threads sometimes abort an interpreter that finalizes


if __name__ == "__main__":
    main()
