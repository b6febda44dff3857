"""The corpus of real answers through a whole client: no text of a prompt or an answer is left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import gateway_batch as gb
from gateway_batch.devgateway.real_answers import ANSWER_MARKER, PROMPT_MARKER, RealAnswer, real_answers
from tests.unit.samples import sealed_rows

PROMPT = f"Summarize: {PROMPT_MARKER}"
ASKED = [answer for answer in real_answers().values() if answer.api != "mlflow/v1/invocations"]


async def ask(client: gb.Client, answer: RealAnswer) -> Any:
    if answer.api.endswith("embeddings"):
        return await client.aembed(answer.name, [PROMPT])
    return await client.aquery(answer.name, PROMPT)


def test_no_text_of_a_prompt_or_an_answer_gets_into_errors_logs_or_the_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def played(request: httpx.Request) -> httpx.Response:
        answer = real_answers()[request.url.host.removesuffix(".example")]
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body.encode())

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*(ask(client, answer) for answer in ASKED), return_exceptions=True)

    endpoints = {answer.name: {"base_url": f"https://{answer.name}.example", "api": answer.api} for answer in ASKED}
    config = gb.GatewayConfig.from_env(
        endpoints=endpoints,
        spool_dir=str(tmp_path),
        max_concurrency=len(ASKED),
        max_attempts=1,
        row_deadline=1.0,
    )
    http = httpx.AsyncClient(transport=httpx.MockTransport(played))
    with caplog.at_level("DEBUG"), gb.Client(config, http_client=http) as client:
        found = asyncio.run(ask_all())
    rows = sealed_rows(tmp_path)
    assert {row["endpoint_name"] for row in rows} == set(endpoints)
    failed = {answer.name: error for answer, error in zip(ASKED, found, strict=True) if isinstance(error, Exception)}
    assert all(isinstance(error, gb.CallError) for error in failed.values())
    assert len(failed) >= sum(answer.kind is not None for answer in ASKED)
    for marker in (PROMPT_MARKER, ANSWER_MARKER):
        assert [name for name, error in failed.items() if marker in f"{error} {error!r} {vars(error)}"] == []
        assert [row["endpoint_name"] for row in rows if marker in json.dumps(row, default=str)] == []
        assert marker not in caplog.text
        assert [path for path in tmp_path.rglob("*") if path.is_file() and marker.encode() in path.read_bytes()] == []
