"""Tokens that expire in the middle of a job, with the real databricks-sdk and a gateway that issues them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.devgateway.oauth import CLIENT_ID
from gateway_batch.errors import ConfigError
from tests.unit.samples import sealed_rows

MODEL = "databricks-gpt-5-4"
SECRET = "t0ken-of-the-gateway"
LIFETIME_S = 2.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningGateway]:
    """A gateway whose tokens hold for two seconds, and an environment that logs in there."""
    settings = Settings(port=0, token=SECRET, token_lifetime_s=LIFETIME_S, latency_ms=50, ledger=tmp_path / "l.sqlite")
    for name in ("DATABRICKS_TOKEN", "GATEWAY_BATCH_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "no-profiles"))
    with running(settings) as gateway:
        monkeypatch.setenv("DATABRICKS_HOST", gateway.host)
        monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT_ID)
        monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
        yield gateway


def test_a_token_that_expires_is_renewed_and_no_call_fails(server: RunningGateway, tmp_path: Path) -> None:
    config = gb.GatewayConfig.from_env(max_concurrency=4, spool_dir=str(tmp_path / "spool"))
    assert config.token is not None
    assert config.token.get_secret_value() == "databricks-sdk"
    prompts = [f"Lake {number} is deep." for number in range(600)]
    started = time.monotonic()
    with gb.Client(config) as client:
        answers = client.query_many(MODEL, prompts, fail_on_error=False)
    assert time.monotonic() - started > 3 * LIFETIME_S
    assert all(isinstance(answer, str) for answer in answers)
    rows = sealed_rows(tmp_path / "spool")
    assert sum(row["status_code"] == 200 for row in rows) == 600
    assert {row["status_code"] for row in rows} <= {200, 401}
    assert SECRET not in repr(rows)


def test_a_login_that_fails_says_so_and_shows_no_secret(
    server: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "wrong-secret")
    with (
        gb.Client(gb.GatewayConfig.from_env(spool_dir=str(tmp_path / "spool"))) as client,
        pytest.raises(ConfigError, match="token: databricks-sdk can't log in: ") as caught,
    ):
        client.query(MODEL, "hi")
    assert "wrong-secret" not in str(caught.value)
    monkeypatch.delenv("DATABRICKS_CLIENT_ID")
    with (
        gb.Client(gb.GatewayConfig.from_env(token="databricks-sdk", spool_dir=str(tmp_path / "spool"))) as client,
        pytest.raises(ConfigError, match="databricks-sdk has nothing to log in by: "),
    ):
        client.query(MODEL, "hi")
