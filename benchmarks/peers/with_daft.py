"""Daft's `prompt` on its native runner.

Its `concurrency` limits batches, and each batch asks for all of its rows at once; so that batches of 16 rows, four at a
time, come nearest to 64 requests under way (80 are seen). Its other modes hung when they were tried.
"""

from __future__ import annotations

import os

os.environ.setdefault("DO_NOT_TRACK", "true")

import daft  # type: ignore[import-not-found, unused-ignore]
from daft.ai.openai.provider import OpenAIProvider  # type: ignore[import-not-found, unused-ignore]
from daft.functions import prompt as ask  # type: ignore[import-not-found, unused-ignore]

from benchmarks.load import MODEL, prompt
from benchmarks.peers.child import Job, Send, serve

_ROWS_A_BATCH = 16


def _open(job: Job) -> Send:
    provider = OpenAIProvider(name="bench", base_url=f"{job.host}/v1", api_key="bench")

    def send(first: int, end: int) -> None:
        rows = daft.from_pydict({"text": [prompt(number) for number in range(first, end)]}).into_batches(_ROWS_A_BATCH)
        answer = ask(
            daft.col("text"),
            provider=provider,
            model=MODEL,
            use_chat_completions=True,
            concurrency=job.in_flight // _ROWS_A_BATCH,
        )
        rows.select(answer.alias("answer")).collect()

    return send


if __name__ == "__main__":
    serve(_open, ["daft", "openai"])
