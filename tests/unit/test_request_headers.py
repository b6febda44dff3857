"""What each attempt carries: credentials, tags, its event id, and none of it where it doesn't belong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.errors import (
    CallError,
    ConfigError,
    ErrorKind,
)
from gateway_batch.types import HttpReply, HttpRequest
from tests.unit.executor_bench import DOWN, SECRET, Bench

from .samples import CHAT, chat_reply, reply


def test_the_token_is_in_the_authorization_header_and_nowhere_else(tmp_path: Path, play: Any) -> None:
    async def scene(bench: Bench) -> HttpRequest:
        await bench.infer(service=replace(CHAT, credential="value:token"), team="x")
        return bench.transport.sent[0]

    sent, rows = play(scene, [chat_reply("x")])
    assert sent.headers.pop("authorization") == f"Bearer {SECRET}"
    assert rows[0]["auth_mode"] == "PAT"
    assert SECRET not in f"{sent} {rows}"
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def test_a_key_goes_into_the_header_that_the_service_names(play: Any) -> None:
    async def scene(bench: Bench) -> HttpRequest:
        await bench.infer(service=replace(CHAT, credential="value:token", key_header="x-api-key"))
        return bench.transport.sent[0]

    sent, rows = play(scene, [chat_reply("x")])
    assert sent.headers.pop("x-api-key") == SECRET
    assert "authorization" not in sent.headers
    assert SECRET not in f"{sent} {rows}"


def test_a_token_that_was_renewed_meanwhile_is_tried_again(play: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    seen: list[str] = []

    async def answer(request: HttpRequest) -> HttpReply:
        seen.append(request.headers["authorization"])
        token.write_text("new")
        return chat_reply("hello") if seen[-1] == "Bearer new" else reply(401, {"message": "Token is expired."})

    async def scene(bench: Bench) -> object:
        return (await bench.infer(service=replace(CHAT, credential=f"file:{token}"))).value

    value, rows = play(scene, answer)
    assert value == "hello"
    assert seen == ["Bearer old", "Bearer new"]
    assert [row["status_code"] for row in rows] == [401, 200]


def test_tokens_that_are_all_refused_are_not_tried_for_ever(play: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0")

    async def answer(request: HttpRequest) -> HttpReply:
        token.write_text(str(int(token.read_text()) + 1))
        return reply(401, {"message": "Token is expired."})

    async def scene(bench: Bench) -> CallError:
        return await bench.failure(service=replace(CHAT, credential=f"file:{token}"))

    error, rows = play(scene, answer)
    assert error.kind is ErrorKind.AUTHENTICATION
    assert len(rows) == 3


def test_without_a_credential_nothing_is_authorized(play: Any) -> None:
    async def scene(bench: Bench) -> HttpRequest:
        await bench.infer()
        return bench.transport.sent[0]

    sent, _ = play(scene, [chat_reply("x")])
    assert "authorization" not in sent.headers


def test_a_token_that_can_not_be_resolved_sends_nothing(play: Any) -> None:
    async def scene(bench: Bench) -> int:
        with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE"):
            await bench.infer(service=replace(CHAT, credential="env:NO_SUCH_VARIABLE"))
        return len(bench.transport.sent)

    assert play(scene, [chat_reply("x")]) == (0, [])


def test_tags_are_sent_as_ascii_json_and_recorded_as_written(play: Any) -> None:
    async def scene(bench: Bench) -> str:
        await bench.infer(team="Größe 👋", line="a\nb")
        return bench.transport.sent[0].headers["Databricks-Ai-Gateway-Request-Tags"]

    header, (row,) = play(scene, [chat_reply("x")])
    assert header.isascii()
    assert header.isprintable()
    assert json.loads(header) == row["request_tags"] == {"team": "Größe 👋", "line": "a\nb"}


def test_each_attempt_carries_its_event_id_in_the_tag_that_is_set(play: Any) -> None:
    async def scene(bench: Bench) -> list[str]:
        await bench.infer(team="search")
        return [request.headers["Databricks-Ai-Gateway-Request-Tags"] for request in bench.transport.sent]

    sent, rows = play(scene, [DOWN, chat_reply("x")], event_id_tag="gateway_batch_event_id")
    tags = [
        {"team": "search", "gateway_batch_event_id": row["client_metadata"]["event_id"]}
        for row in sorted(rows, key=lambda row: row["client_metadata"]["attempt"])
    ]
    assert [json.loads(each) for each in sent] == tags
    assert [row["request_tags"] for row in rows] == tags
    assert tags[0] != tags[1]


def test_without_tags_there_is_no_tags_header(play: Any) -> None:
    async def scene(bench: Bench) -> HttpRequest:
        await bench.infer()
        return bench.transport.sent[0]

    sent, (row,) = play(scene, [chat_reply("x")])
    assert "Databricks-Ai-Gateway-Request-Tags" not in sent.headers
    assert row["request_tags"] == {}


def test_the_source_is_told_to_the_gateway_and_the_table(play: Any) -> None:
    async def scene(bench: Bench) -> str:
        await bench.infer()
        return bench.transport.sent[0].headers["x-gateway-batch-source"]

    source, (row,) = play(scene, [chat_reply("x")])
    assert source == row["invocation_metadata"]["source"] == "AI_QUERY"


def test_no_prompt_and_no_answer_is_on_disk(tmp_path: Path, play: Any) -> None:
    play(lambda bench: bench.infer("the private prompt"), [chat_reply("the private answer")])
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert any(b'"url"' in path.read_bytes() for path in files)
    assert not any(b"private" in path.read_bytes() for path in files)
