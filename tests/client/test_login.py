"""Tokens that expire in the middle of a job, with the real databricks-sdk and a gateway that issues them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import gateway_batch as gb
from gateway_batch.config.databricks_login import Login
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.devgateway.oauth import CLIENT_ID
from gateway_batch.errors import ConfigError
from tests.unit.samples import sealed_rows
from tests.waiting import wait_until

MODEL = "databricks-gpt-5-4"
SECRET = "t0ken-of-the-gateway"


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    """Its tokens hold for a second."""
    with running(Settings(port=0, token=SECRET, token_lifetime_s=1.0)) as gateway:
        yield gateway


@pytest.fixture
def server(gateway: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningGateway:
    """The gateway, with an environment that logs in there."""
    for name in ("DATABRICKS_TOKEN", "GATEWAY_BATCH_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "no-profiles"))
    monkeypatch.setenv("DATABRICKS_HOST", gateway.host)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    return gateway


def test_a_token_that_expires_is_renewed_and_no_call_fails(server: RunningGateway, tmp_path: Path) -> None:
    config = gb.GatewayConfig.from_env(max_concurrency=4, spool_dir=str(tmp_path / "spool"))
    assert config.token is not None
    assert config.token.get_secret_value() == "databricks-sdk"
    prompts = [f"Lake {number} is deep." for number in range(10)]
    with gb.Client(config) as client:
        for number in range(3):
            if number:
                wait_until_all_have_expired(server)
            assert len(client.query_many(MODEL, prompts)) == 10
        assert not is_refused(server, SECRET)
    rows = sealed_rows(tmp_path / "spool")
    assert sum(row["status_code"] == 200 for row in rows) == 30
    assert {row["status_code"] for row in rows} <= {200, 401}
    assert SECRET not in repr(rows)


def wait_until_all_have_expired(server: RunningGateway) -> None:
    last = Login().token()
    wait_until(lambda: is_refused(server, last))


def is_refused(server: RunningGateway, token: str) -> bool:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{server.host}/devgateway/stats", headers=headers, trust_env=False).status_code == 401


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
