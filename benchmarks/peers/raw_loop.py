"""The control: the raw client loop, with nothing around it."""

from __future__ import annotations

import asyncio

from benchmarks.control import measure
from benchmarks.load import PATH
from benchmarks.peers.child import Job, Send, serve


def _open(job: Job) -> Send:
    def send(first: int, end: int) -> None:
        asyncio.run(measure(job.host + PATH, end - first, job.in_flight, None))

    return send


if __name__ == "__main__":
    serve(_open, ["pyreqwest"])
