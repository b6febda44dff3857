"""`gateway-batch config`: what it shows, what it hides, and what it finds wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway_batch.cli.main import app
from gateway_batch.devgateway import RunningGateway, Settings, running

SECRET = "sk-very-secret"
ENDPOINTS = {
    "mine": {"base_url": "http://127.0.0.1:9/v1", "token": SECRET},
    "theirs": {"base_url": "http://127.0.0.1:9/v1", "token": "env:THEIR_KEY"},
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    ledger = tmp_path_factory.mktemp("gateway") / "ledger.sqlite"
    with running(Settings(port=0, token="t0ken", ledger=ledger)) as gateway:
        yield gateway


def lines(*arguments: str, code: int = 0) -> dict[str, dict[str, object]]:
    ran = CliRunner().invoke(app, ["config", *arguments, "--json"])
    assert ran.exit_code == code, ran.output
    assert SECRET not in ran.output
    return {line["name"]: line for line in map(json.loads, ran.stdout.splitlines())}


def test_each_setting_has_its_source(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABRICKS_HOST", "https://example.com/")
    environment.setenv("DATABRICKS_TOKEN", SECRET)
    environment.setenv("GATEWAY_BATCH_MAX_CONCURRENCY", "8")
    environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(ENDPOINTS))
    environment.setenv("GATEWAY_BATCH_COORDINATION", f"redis://:{SECRET}@h:6379/0")
    found = lines()
    assert found["host"] == {"name": "host", "value": "https://example.com", "source": "DATABRICKS_HOST"}
    assert found["token"]["value"] == "env:DATABRICKS_TOKEN"
    assert found["max_concurrency"] == {
        "name": "max_concurrency", "value": 8, "source": "GATEWAY_BATCH_MAX_CONCURRENCY",
    }  # fmt: skip
    assert found["row_deadline"] == {"name": "row_deadline", "value": 900.0, "source": "default"}
    tokens = {name: endpoint["token"] for name, endpoint in dict(found["endpoints"]["value"]).items()}  # type: ignore[call-overload]
    assert tokens == {"mine": "***", "theirs": "env:THEIR_KEY"}
    shown = CliRunner().invoke(app, ["config"])
    assert shown.exit_code == 0
    assert SECRET not in shown.output
    assert "GATEWAY_BATCH_MAX_CONCURRENCY" in "".join(shown.output.split())


def test_a_gateway_that_works_is_said_to(environment: pytest.MonkeyPatch, server: RunningGateway) -> None:
    environment.setenv("DATABRICKS_HOST", server.host)
    environment.setenv("DATABRICKS_TOKEN", "t0ken")
    found = lines("--check")
    assert {name: line["ok"] for name, line in found.items()} == {
        "endpoint databricks-gpt-5-4": True,
        "endpoint databricks-gte-large-en": True,
        "spool": True,
        "usage table": True,
        "coordination": True,
    }
    assert "takes the token" in str(found["endpoint databricks-gpt-5-4"]["says"])


def test_what_does_not_work_is_said_in_a_line_each(environment: pytest.MonkeyPatch, server: RunningGateway) -> None:
    environment.setenv("DATABRICKS_HOST", server.host)
    environment.setenv("DATABRICKS_TOKEN", SECRET)
    environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(ENDPOINTS))
    environment.setenv("GATEWAY_BATCH_SPOOL_DIR", "/proc/nowhere/spool")
    environment.setenv("GATEWAY_BATCH_COORDINATION", "redis://127.0.0.1:9/0")
    environment.setenv("GATEWAY_BATCH_TASK_ENDPOINT", "no such name")
    found = lines("--check", code=1)
    says = {name: str(line["says"]) for name, line in found.items() if not line["ok"]}
    assert "refuses the token (env:DATABRICKS_TOKEN): HTTP 401" in says["endpoint databricks-gte-large-en"]
    assert "THEIR_KEY is not set" in says["endpoint theirs"]
    assert "127.0.0.1" in says["endpoint mine"]
    assert "can't be written" in says["spool"]
    assert "Redis" in says["coordination"]
    assert "'no such name' is not the name of an endpoint" in says["endpoint no such name"]


def test_no_gateway_is_a_failure(environment: pytest.MonkeyPatch) -> None:
    assert lines("--check", code=1)["gateway"]["ok"] is False
