"""The process of the chat model: llama.cpp's server on a free port of this machine, for one caller with a key.

It prints its address as its only line, and ends when stdin closes.
"""

from __future__ import annotations

import os
import sys

import xllamacpp

CONTEXT_TOKENS = 4096


def main(weights: str) -> None:
    """Serves until stdin closes; the key is the first line there."""
    key = sys.stdin.readline().strip()
    server = xllamacpp.Server(_parameters(weights, key))
    print(server.listening_address, flush=True)
    while sys.stdin.readline():
        pass
    os._exit(0)  # a generation under way has a thread of llama.cpp's own, which would be waited for


def _parameters(weights: str, key: str) -> xllamacpp.CommonParams:
    """One request at a time on one core: on two cores of this kind, more slots or threads answer no sooner.

    Without caches of prompts, an answer doesn't depend on those before it.
    """
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.n_threads_http = 4
    parameters.cache_prompt = False
    parameters.cache_idle_slots = False
    parameters.cache_ram_mib = 0
    parameters.n_ctx_checkpoints = 0
    parameters.warmup = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = 0
    return parameters


if __name__ == "__main__":
    main(sys.argv[1])
