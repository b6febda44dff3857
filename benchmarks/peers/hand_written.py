"""What one writes by hand: a pandas UDF over the openai SDK, by threads or by asyncio, batch for batch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pandas as pd
from openai import AsyncOpenAI, OpenAI
from pyspark.sql.pandas.functions import pandas_udf

from benchmarks.load import MODEL
from benchmarks.peers.child import Job, Send, serve
from benchmarks.peers.plain_spark import PARTITIONS, sender, session


def _open(job: Job) -> Send:
    url, lanes = f"{job.host}/v1", job.in_flight // PARTITIONS

    def by_threads(texts: pd.Series) -> pd.Series:
        client = OpenAI(base_url=url, api_key="bench")

        def ask(text: str) -> str | None:
            answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
            content: str | None = answer.choices[0].message.content
            return content

        with ThreadPoolExecutor(lanes) as threads:
            return pd.Series(list(threads.map(ask, texts)))

    def by_asyncio(texts: pd.Series) -> pd.Series:
        async def ask_all() -> list[str | None]:
            slots = asyncio.Semaphore(lanes)
            async with AsyncOpenAI(base_url=url, api_key="bench") as client:

                async def ask(text: str) -> str | None:
                    async with slots:
                        answer = await client.chat.completions.create(
                            model=MODEL, messages=[{"role": "user", "content": text}]
                        )
                    content: str | None = answer.choices[0].message.content
                    return content

                return await asyncio.gather(*(ask(text) for text in texts))

        return pd.Series(asyncio.run(ask_all()))

    spark, function = session(), {"threads": by_threads, "asyncio": by_asyncio}[job.mode]
    return sender(spark, cast(Any, pandas_udf)(function, "string"))


if __name__ == "__main__":
    serve(_open, ["pyspark", "openai", "pandas"])
