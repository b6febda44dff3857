from __future__ import annotations

from typing import Any

import pytest
from genai_prices import Usage, calc_price

from gateway_batch.pricing.list_prices import list_price


@pytest.mark.parametrize(
    ("name", "listed", "provider"),
    [
        ("databricks-gpt-oss-20b", "databricks-gpt-oss-20b", "databricks"),
        ("system.ai.gpt-oss-20b", "databricks-gpt-oss-20b", "databricks"),
        ("databricks-meta-llama-3-3-70b-instruct", "databricks-meta-llama-3-3-70b-instruct", "databricks"),
        ("system.ai.databricks-claude-sonnet-4", "claude-sonnet-4", "anthropic"),
        ("databricks-gemini-2-5-flash", "gemini-2.5-flash", "google"),
        ("gpt-5.4", "gpt-5.4", "openai"),
    ],
)
def test_a_databricks_name_has_databricks_price_or_else_the_vendors(name: str, listed: str, provider: str) -> None:
    price = list_price(name)
    expected: Any = calc_price(Usage(), model_ref=listed, provider_id=provider).model_price.input_mtok
    assert price is not None
    assert price.input == float(getattr(expected, "base", expected))


@pytest.mark.parametrize("name", ["databricks-none", "none", "gemini-2-5-flash-of-mine"])
def test_a_model_that_the_table_lacks_has_no_price(name: str) -> None:
    assert list_price(name) is None
