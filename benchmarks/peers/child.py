"""A child's side of the protocol: warm up, say so, wait for the word, run, say how long it took.

Standard library only: each package runs this in an environment of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WARM = "warm"
GO = "go"
WARM_UP_FROM = 10_000_000
"""The number of the first prompt that warms up."""


@dataclass(frozen=True)
class Job:
    """What is to be sent.

    Attributes:
        host: base URL of the server.
        in_flight: requests under way at once, over all partitions.
        mode: one of the ways of the package to do it.
    """

    host: str
    in_flight: int
    mode: str


Send = Callable[[int, int], None]
"""Sends the prompts from one number up to, and without, another; returns when all are answered."""


def serve(open_side: Callable[[Job], Send], packages: Sequence[str]) -> None:
    """Runs one side by the protocol, and ends the process.

    Args:
        open_side: makes what sends; not timed.
        packages: whose versions are reported.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--mode", default="")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--warm-up-rows", type=int, required=True)
    options = parser.parse_args()
    send = open_side(Job(options.host, options.in_flight, options.mode))
    send(WARM_UP_FROM, WARM_UP_FROM + options.warm_up_rows)
    print(WARM, flush=True)
    if sys.stdin.readline().strip() != GO:
        os._exit(1)
    started = time.perf_counter()
    send(0, options.rows)
    seconds = time.perf_counter() - started
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
    print(json.dumps({"seconds": seconds, "versions": versions}), flush=True)
    os._exit(0)  # without waiting for what the package leaves behind
