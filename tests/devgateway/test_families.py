"""Ready-made services by families of names: what is served, and what an unknown name is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.devgateway import ServiceSettings
from gateway_batch.devgateway.ask import Kind
from gateway_batch.devgateway.catalogue import LISTED_MODELS, Catalogue
from gateway_batch.devgateway.families import FAMILIES
from gateway_batch.devgateway.routes import INVOCATIONS, WIRES

PAGE = (Path(__file__).parents[2] / "docs" / "development-gateway-routes.md").read_text()
SERVICES = {
    "databricks-vectors": ServiceSettings(kind=Kind.EMBEDDINGS),
    "databricks-qwen3-embedding-4b": ServiceSettings(latency_ms=5),
    "main.default.vectors": ServiceSettings(model="qwen3-embedding-0-6b"),
    "main.default.words": ServiceSettings(model="gte-large-en", kind=Kind.CHAT),
    "main.default.other": ServiceSettings(model="own"),
}
CATALOGUE = Catalogue(SERVICES)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-5-2", Kind.CHAT),
        ("gpt-5-1-codex-max", Kind.CHAT),
        ("gpt-7", Kind.CHAT),
        ("gpt-oss-20b", Kind.CHAT),
        ("claude-sonnet-4-6", Kind.CHAT),
        ("claude-haiku-5", Kind.CHAT),
        ("gemini-3-1-flash-lite", Kind.CHAT),
        ("gemma-3-12b", Kind.CHAT),
        ("llama-4-maverick", Kind.CHAT),
        ("meta-llama-3-1-8b-instruct", Kind.CHAT),
        ("qwen3-next-80b-a3b-instruct", Kind.CHAT),
        ("qwen35-122b-a10b", Kind.CHAT),
        ("deepseek-v4-flash", Kind.CHAT),
        ("gte-large-en", Kind.EMBEDDINGS),
        ("bge-m3", Kind.EMBEDDINGS),
        ("qwen3-embedding-0-6b", Kind.EMBEDDINGS),
        ("gemini-embedding-2", Kind.EMBEDDINGS),
        *((model, None) for model in LISTED_MODELS),
    ],
)
def test_a_model_of_a_family_is_served_for_what_ai_query_asks_it(model: str, kind: Kind | None) -> None:
    bare, full = CATALOGUE.find(f"databricks-{model}"), CATALOGUE.find(f"system.ai.{model}")
    assert bare is not None
    assert bare == full
    assert kind in (None, bare.kind)
    asked = resolve_service(GatewayConfig(host="http://h"), f"databricks-{model}").api
    assert bare.kind is (Kind.EMBEDDINGS if asked.endswith("embeddings") else Kind.CHAT)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gpt-5-4", "databricks-gpt-5-4"),
        ("databricks-gtp-5-4", "databricks-gpt-5-4"),
        ("databricks-cluade-opus-4-8", "databricks-claude-opus-4-8"),
        ("databricks-GPT-5-4", "databricks-gpt-5-4"),
        ("system.ai.claud-opus-4-8", "system.ai.claude-opus-4-8"),
        ("system.ai.databricks-gpt-5-4", "system.ai.gpt-5-4"),
        ("databricks-lama-4-maverick", "databricks-llama-4-maverick"),
        ("main.default.suport", "main.default.support"),
        ("churn-scorr", "churn-scorer"),
        ("databricks-none", None),
        ("databricks-gpt-", "databricks-gpt-5-4"),
        ("databricks-claude--4", None),
        ("main.default.gpt-5-4", None),
        ("databricks-gpt-5-4/x", "databricks-gpt-5-4"),
        ("databricks-gpt-" + "9" * 300, None),
        ("", None),
    ],
)
def test_an_unknown_name_is_not_found_and_has_its_neighbours(name: str, near: str | None) -> None:
    found = CATALOGUE.near(name)
    assert CATALOGUE.find(name) is None
    assert len(found) <= 3
    assert near is None or near in found


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("system.ai.vectors", Kind.EMBEDDINGS),
        ("databricks-qwen3-embedding-4b", Kind.EMBEDDINGS),
        ("main.default.vectors", Kind.EMBEDDINGS),
        ("main.default.words", Kind.CHAT),
        ("main.default.other", Kind.CHAT),
    ],
)
def test_a_service_of_the_settings_is_for_what_they_say_or_what_its_model_is_for(name: str, kind: Kind) -> None:
    service = CATALOGUE.find(name)
    assert service is not None
    assert service.kind is kind


@pytest.mark.parametrize("path", [*WIRES, INVOCATIONS])
def test_the_page_has_every_route(path: str) -> None:
    _, colon, method = path.partition("{model}:")
    assert f"{colon[-1:]}{method}`" in PAGE if colon else f"`{path.replace('{model}', '<name>')}`" in PAGE


def test_the_page_has_every_family() -> None:
    assert [family for family in FAMILIES if f"`{family}`" not in PAGE] == []
