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

from benchmarks.load import body


async def send(client: Client, url: str, rows: int, lanes: int) -> None:
    """Sends `rows` requests, `lanes` at once.

    Raises:
        RuntimeError: an answer was not 200.
    """
    todo, data = iter(range(rows)), body(0)

    async def lane() -> None:
        for _ in todo:
            response = await client.post(url).body_bytes(data).build().send()
            if response.status != 200:
                raise RuntimeError(f"the server answered {response.status}")
            await response.bytes()

    await asyncio.gather(*(lane() for _ in range(lanes)))


async def measure(url: str, rows: int, lanes: int) -> dict[str, float]:
    """Rows, seconds and CPU seconds of one run."""
    headers = {"content-type": "application/json", "accept": "application/json", "authorization": "Bearer bench"}
    async with ClientBuilder().default_headers(headers).build() as client:
        started, cpu = time.perf_counter(), time.process_time()
        await send(client, url, rows, lanes)
        return {"rows": rows, "seconds": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--lanes", type=int, required=True)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.url, options.rows, options.lanes))), flush=True)
    os._exit(0)  # pyreqwest's own threads sometimes abort an interpreter that finalizes


if __name__ == "__main__":
    main()
