"""Python instructions that the event loop's thread executes for a row: a measure of the hot path that no load disturbs.

The rows go through `gb.Client`, with its spool and limits, to a transport that answers at once. C code, such as JSON's
and the HTTP library's, is not counted: `benchmarks.hot_path` has its CPU time.

Run: python -m benchmarks.instructions [--rows 500]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway_batch import Client, GatewayConfig
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest

_MODEL = "databricks-gpt-5-4"
_BODY = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m-2026","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"An answer.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":'
    b'{"prompt_tokens":30,"completion_tokens":10,"total_tokens":40}}'
)
_SHOWN = 25


class Instructions:
    """Counts what one thread executes, by module and function."""

    def __init__(self) -> None:
        self.by_function: Counter[str] = Counter()

    async def begin(self) -> None:
        """Counts from now on, on the thread that runs this."""
        sys.settrace(self._trace)

    async def end(self) -> None:
        """Counts no more."""
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            path = Path(frame.f_code.co_filename)
            self.by_function[f"{path.parent.name}/{path.name} {frame.f_code.co_name}"] += 1
        return self._trace


def count(rows: int) -> Counter[str]:
    """Instructions of that many rows, by function; the same each time, but for some of the loop's own."""
    counted = Instructions()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        config = GatewayConfig.from_env(host="https://h", token="dapi-0123456789abcdef", spool_dir=folder)
        with Client(config, open_transport=lambda: FakeTransport(_answer)) as client:
            client.query_many(_MODEL, [f"warm-up {number}" for number in range(rows)], model_parameters=_PARAMETERS)
            client._runtime.submit(counted.begin).result()
            client.query_many(_MODEL, [f"row {number}" for number in range(rows)], model_parameters=_PARAMETERS)
            client._runtime.submit(counted.end).result()
    return counted.by_function


_PARAMETERS = {"max_tokens": 50}


async def _answer(_: HttpRequest) -> HttpReply:
    await asyncio.sleep(0)
    return HttpReply(200, {"content-type": "application/json", "x-request-id": "r"}, _BODY)


def main() -> None:
    """Counts, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=500)
    rows = parser.parse_args().rows
    found = count(rows)
    table = Table("instructions a row", "", title=f"{found.total() / rows:,.0f} instructions a row, {rows:,} rows")
    for name, instructions in found.most_common(_SHOWN):
        table.add_row(f"{instructions / rows:,.1f}", name)
    Console().print(table)


if __name__ == "__main__":
    main()
