from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from gateway_batch.devgateway import RunningGateway, Settings, backend, create_app, running
from gateway_batch.devgateway.ledger import Ledger, row_values, table_ddl
from gateway_batch.errors import ConfigError
from gateway_batch.usage.record import MIRRORED_COLUMNS, Destination, EndpointMetadata, UsageRecord
from tests.waiting import wait_until

from .conftest import TOKEN, Post, Row, Rows
from .raw import plain_socket, raw_request

CHAT = "mlflow/v1/chat/completions"
ASK: dict[str, Any] = {"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "Name a lake."}]}


def marked(event_id: str) -> dict[str, str]:
    """The headers of a request that its row is found by."""
    return {"authorization": f"Bearer {TOKEN}", "x-client-request-id": event_id}


def wait_for(rows: Rows, event_id: str) -> Row:
    wait_until(lambda: rows(event_id), "a row")
    return rows(event_id)[0]


def test_the_table_has_the_mirrored_columns_and_the_callers_id() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(table_ddl())
        found = {name: kind for _, name, kind, *_ in database.execute("PRAGMA table_info(usage)")}
    assert tuple(found) == (*MIRRORED_COLUMNS, "client_request_id")
    assert found["input_tokens"] == found["status_code"] == found["latency_ms"] == "INTEGER"
    assert found["event_time"] == found["request_tags"] == found["routing_information"] == "TEXT"


def test_a_row_is_written_in_plain_values() -> None:
    destination = Destination(name="d", destination_type="t", traffic_percentage=100)
    record = UsageRecord(
        event_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        request_tags={"a": "ä"},
        input_tokens=3,
        endpoint_metadata=EndpointMetadata(destinations=(destination,)),
    )
    row = dict(zip((*MIRRORED_COLUMNS, "client_request_id"), row_values(record, "mine"), strict=True))
    assert row["event_time"] == "2026-01-02T03:04:05.000000+00:00"
    assert row["request_tags"] == '{"a":"ä"}'
    assert (row["input_tokens"], row["output_tokens"], row["client_request_id"]) == (3, None, "mine")
    assert json.loads(str(row["endpoint_metadata"]))["destinations"] == [
        {"name": "d", "destination_type": "t", "traffic_percentage": 100}
    ]


def test_an_answered_request_has_one_row_with_everything(gateway: RunningGateway, post: Post, rows: Rows) -> None:
    event_id = uuid4().hex
    before = datetime.now(UTC)
    answer = post(
        CHAT,
        {**ASK, "model": "main.default.support"},
        x_client_request_id=event_id,
        databricks_ai_gateway_request_tags='{"team": "search"}',
        user_agent="test/1",
    )
    (row,) = rows(event_id)
    usage = answer.json()["usage"]
    assert before <= datetime.fromisoformat(row["event_time"]) <= datetime.now(UTC)
    assert {name: row[name] for name in _SETTLED} == {
        **_SETTLED,
        "request_id": answer.headers["x-request-id"],
        "url": f"{gateway.host}/ai-gateway/{CHAT}",
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
    }
    assert json.loads(row["request_tags"]) == {"team": "search"}
    assert json.loads(row["invocation_metadata"]) == {"source": "EXTERNAL_CLIENT", "service_tier": None}
    (attempt,) = json.loads(row["routing_information"])["attempts"]
    assert (attempt["action"], attempt["status_code"], attempt["priority"]) == ("INITIAL_ATTEMPT", 200, 1)
    assert attempt["destination"] == row["destination_name"]
    assert json.loads(row["endpoint_metadata"])["creator"] == "dev@example.com"
    assert row["invocation_id"] != row["request_id"]
    assert row["endpoint_id"] == row["service_id"]


_SETTLED: dict[str, Any] = {
    "account_id": "00000000-0000-4000-8000-000000000000",
    "workspace_id": "1000000000000000",
    "request_id": "",
    "schema_version": 1,
    "endpoint_name": "main.default.support",
    "endpoint_tags": "{}",
    "destination_type": "PAY_PER_TOKEN_FOUNDATION_MODEL",
    "destination_name": "system.ai.databricks-gpt-5-4",
    "destination_model": "gpt-5-4",
    "requester": "dev@example.com",
    "requester_type": "USER",
    "ip_address": "127.0.0.1",
    "url": "",
    "user_agent": "test/1",
    "api_type": "mlflow/v1/chat/completions",
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "response_content_type": "application/json",
    "status_code": 200,
    "service_type": "MODEL_SERVICE",
    "service_name": "main.default.support",
    "service_tags": "{}",
    "mcp_metadata": None,
    "session_metadata": None,
    "auth_mode": "PAT",
}


@pytest.mark.parametrize(
    ("name", "service_name"),
    [("databricks-gpt-5-4", None), ("system.ai.gpt-5-4", "system.ai.gpt-5-4")],
)
def test_a_bare_name_leaves_the_service_name_empty(post: Post, rows: Rows, name: str, service_name: str | None) -> None:
    event_id = uuid4().hex
    post(CHAT, {**ASK, "model": name}, x_client_request_id=event_id)
    (row,) = rows(event_id)
    assert (row["endpoint_name"], row["service_name"]) == (name, service_name)
    assert row["destination_model"] == "gpt-5-4"


@pytest.mark.parametrize(
    ("user_agent", "source_header", "source"),
    [
        ("gateway_batch/0.1.0", "AI_QUERY", "AI_QUERY"),
        ("gateway_batch/0.1.0", "", "EXTERNAL_CLIENT"),
        ("curl/8", "AI_QUERY", "EXTERNAL_CLIENT"),
    ],
)
def test_the_source_is_ai_query_only_for_our_own_function(
    post: Post, rows: Rows, user_agent: str, source_header: str, source: str
) -> None:
    event_id = uuid4().hex
    headers = {"user_agent": user_agent, "x_gateway_batch_source": source_header}
    post(CHAT, ASK, x_client_request_id=event_id, **headers)
    (row,) = rows(event_id)
    assert json.loads(row["invocation_metadata"])["source"] == source


def test_a_refused_name_has_a_row_without_destination_and_tokens(post: Post, rows: Rows) -> None:
    event_id = uuid4().hex
    post(CHAT, {**ASK, "model": "main.default.none"}, x_client_request_id=event_id)
    (row,) = rows(event_id)
    empty = ("endpoint_id", "destination_type", "destination_name", "routing_information", "input_tokens")
    assert [row[name] for name in empty] == [None] * 5
    assert (row["endpoint_name"], row["status_code"]) == ("main.default.none", 404)
    assert row["token_details"] is None


def test_a_request_without_the_callers_id_has_none_in_its_row(post: Post, rows: Rows) -> None:
    answer = post(CHAT, ASK)
    (row,) = [row for row in rows(None) if row["request_id"] == answer.headers["x-request-id"]]
    assert row["client_request_id"] is None


def test_the_row_is_there_before_the_first_byte_of_the_answer(gateway: RunningGateway, rows: Rows) -> None:
    for _ in range(20):
        event_id = uuid4().hex
        with plain_socket(gateway) as connection:
            connection.sendall(raw_request(ASK, **marked(event_id)))
            assert connection.recv(1) == b"H"
            assert len(rows(event_id)) == 1


def test_a_streams_row_has_its_tokens_and_is_there_before_the_end(
    gateway: RunningGateway, http: httpx.Client, rows: Rows
) -> None:
    gateway.configure(stream_pause_ms=60, latency_ms=30)
    event_id = uuid4().hex
    stream = {**ASK, "stream": True}
    with http.stream("POST", f"/ai-gateway/{CHAT}", json=stream, headers=marked(event_id)) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert rows(event_id) == []
        for line in lines:
            if line == "data: [DONE]":
                assert len(rows(event_id)) == 1
    (row,) = rows(event_id)
    assert (row["status_code"], row["output_tokens"]) == (200, 11)
    assert row["response_content_type"] == "text/event-stream"
    assert 30 <= row["time_to_first_byte_ms"] < row["latency_ms"] - 150


def test_a_client_that_leaves_in_mid_stream_has_its_row(
    gateway: RunningGateway, http: httpx.Client, rows: Rows
) -> None:
    gateway.configure(stream_pause_ms=50)
    event_id = uuid4().hex
    stream = {**ASK, "stream": True}
    with http.stream("POST", f"/ai-gateway/{CHAT}", json=stream, headers=marked(event_id)) as answer:
        next(answer.iter_lines())
    assert wait_for(rows, event_id)["output_tokens"] == 11


def test_a_client_that_leaves_before_the_answer_has_its_row(gateway: RunningGateway, rows: Rows) -> None:
    event_id = uuid4().hex
    with plain_socket(gateway) as connection:
        connection.sendall(raw_request({**ASK, "model": "main.default.slow"}, **marked(event_id)))
        time.sleep(0.05)  # it has arrived, and its answer takes longer
    row = wait_for(rows, event_id)
    assert (row["status_code"], row["output_tokens"], row["endpoint_name"]) == (200, 11, "main.default.slow")
    wait_until(lambda: gateway.stats()["in_flight"] == 0)


def test_rows_outlive_a_kill_and_a_new_gateway_adds_to_them(tmp_path: Path) -> None:
    settings = Settings(port=0, ledger=tmp_path / "usage.sqlite")
    for number in range(2):
        with running(settings) as gateway, httpx.Client(base_url=gateway.host, trust_env=False) as client:
            assert client.post(f"/ai-gateway/{CHAT}", json=ASK).status_code == 200
            if number == 0:
                os.kill(gateway.pid, signal.SIGKILL)
    with closing(sqlite3.connect(tmp_path / "usage.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*), count(DISTINCT request_id) FROM usage").fetchone() == (2, 2)


def test_a_file_with_another_usage_table_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "usage.sqlite")) as other:
        other.execute("CREATE TABLE usage (a TEXT)")
    with pytest.raises(ConfigError, match="its table usage is another one"):
        Ledger(tmp_path / "usage.sqlite")


def test_a_ledger_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot keep the usage ledger"):
        create_app(Settings(ledger=tmp_path / "none" / "usage.sqlite"))


def test_a_fault_of_the_gateway_itself_is_answered_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def call(app: Starlette) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post(f"/ai-gateway/{CHAT}", json=ASK)

    monkeypatch.setattr(backend, "answer", fail)
    app = create_app(Settings(ledger=tmp_path / "usage.sqlite"))
    answer = asyncio.run(call(app))
    app.state.gateway.ledger.close()
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "ZeroDivisionError" in caplog.text
    with closing(sqlite3.connect(tmp_path / "usage.sqlite")) as ledger:
        assert ledger.execute("SELECT status_code, input_tokens FROM usage").fetchall() == [(500, None)]
