"""Every unit test starts from an environment without settings of its own; some wait long for others at work."""

from __future__ import annotations

import os

import pytest

from gateway_batch.admission import lease_stores
from gateway_batch.transport import redis_connection
from tests.waiting import WITHIN_S


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith(("GATEWAY_BATCH_", "DATABRICKS_")):
            monkeypatch.delenv(variable)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a store or a Redis may answer late."""
    for name in ("_WITHIN_S", "_ALL_WITHIN_S"):
        monkeypatch.setattr(redis_connection, name, WITHIN_S)
    for name in ("_BUSY_TIMEOUT_S", "_ANSWER_WITHIN_S"):
        monkeypatch.setattr(lease_stores, name, WITHIN_S)
