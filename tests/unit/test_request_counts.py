"""What an estimate assumes of counted requests, where no sample was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.spark.estimates.request_counts import Counted, Estimate, assumed, seconds_of
from gateway_batch.types import Price

COUNTED = Counted(rows=60, requests=40, tokens=1_000)
SETTINGS = GatewayConfig.from_env(host="http://gateway", token="t0ken")
CHAT = resolve_service(SETTINGS, "databricks-gpt-5-4", None)
EMBEDDINGS = resolve_service(SETTINGS, "databricks-gte-large-en", None)
PRICE = Price(input=2.0, output=10.0)


def estimate(
    parameters: Mapping[str, Any] | None = None, output_tokens: int | None = None, price: Price | None = PRICE
) -> Estimate:
    return assumed(parameters or {}, SETTINGS, CHAT, price, COUNTED, output_tokens)


@pytest.mark.parametrize(
    ("parameters", "output_tokens", "each", "source"),
    [
        ({}, None, 200, "200 tokens (an assumption)"),
        ({"temperature": 0}, None, 200, "200 tokens (an assumption)"),
        ({"max_tokens": 50}, None, 50, "50 tokens (max_tokens)"),
        ({"max_completion_tokens": 30}, None, 30, "30 tokens (max_tokens)"),
        ({"max_tokens": 50}, 7, 7, "7 tokens (as given)"),
        ({}, 0, 0, "0 tokens (as given)"),
    ],
)
def test_an_answer_is_as_long_as_is_said(
    parameters: dict[str, Any], output_tokens: int | None, each: int, source: str
) -> None:
    found = estimate(parameters, output_tokens)
    assert (found.rows, found.requests, found.sampled) == (60, 40, 0)
    assert found.input_tokens.low == found.input_tokens.middle == found.input_tokens.high == 1_000
    assert found.output_tokens.low == found.output_tokens.middle == found.output_tokens.high == 40 * each
    assert found.cost_usd is not None
    assert found.cost_usd.middle == pytest.approx((1_000 * 2 + 40 * each * 10) / 1e6)
    assert source in " ".join(found.assumptions)


def test_without_a_price_the_cost_is_not_known() -> None:
    found = estimate(price=None)
    assert found.cost_usd is None
    assert found.assumptions[0].startswith(f"No price of {CHAT.model} is known")
    assert found.as_json()["cost_usd"] is None


def test_embeddings_have_no_output() -> None:
    found = assumed({}, SETTINGS, EMBEDDINGS, PRICE, COUNTED, None)
    assert found.output_tokens.middle == 0
    assert not any("Each answer" in sentence for sentence in found.assumptions)


@pytest.mark.parametrize(
    ("limits", "latency_s", "seconds"),
    [
        ({}, None, None),
        ({"requests_per_minute": 20}, None, 120),
        ({"tokens_per_minute": 3_000}, None, 180),
        ({"requests_per_minute": 20, "tokens_per_minute": 3_000}, 1.0, 180),
        ({"max_concurrency": 4}, 2.0, 20),
    ],
)
def test_the_slowest_of_latency_and_limits_decides(
    limits: dict[str, Any], latency_s: float | None, seconds: float | None
) -> None:
    assert seconds_of(SETTINGS.model_copy(update=limits), 40, 9_000, latency_s) == seconds


def test_an_estimate_says_where_its_price_is_from_and_that_the_time_is_not_known() -> None:
    listed, own = (
        assumed({}, SETTINGS, service, PRICE, COUNTED, None).assumptions
        for service in (CHAT, replace(CHAT, price=PRICE))
    )
    assert "Prices are list prices: 2 USD a million input tokens, 10 USD output." in listed
    assert "Prices are the endpoint's prices: 2 USD a million input tokens, 10 USD output." in own
    assert listed[-1].startswith("No limit is set")
