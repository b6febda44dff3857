"""Every unit test starts from an environment without settings of its own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.upper().startswith(("GATEWAY_BATCH_", "DATABRICKS_")):
            monkeypatch.delenv(variable)
