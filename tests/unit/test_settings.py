from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.config import Credentials, EndpointConfig, GatewayConfig, is_redis, redis_url
from gateway_batch.config.defaults import spool_folder
from gateway_batch.errors import ConfigError
from gateway_batch.usage.shipping import local_folder_for

SECRET = "dapi-very-secret"


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        GatewayConfig.from_env(**settings)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_keyword_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_MAX_CONCURRENCY", "7")
    assert GatewayConfig.from_env().max_concurrency == 7
    assert GatewayConfig.from_env(max_concurrency=9).max_concurrency == 9


def test_host_and_token_come_from_the_variables_of_every_databricks_tool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com/")
    monkeypatch.setenv("DATABRICKS_TOKEN", SECRET)
    config = GatewayConfig.from_env()
    assert config.host == "https://dbc-1.cloud.databricks.com"
    assert config.credentials().resolve(config.credential_of(None) or "") == SECRET


def test_host_and_token_given_in_code_come_before_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://theirs")
    monkeypatch.setenv("DATABRICKS_TOKEN", "theirs")
    config = GatewayConfig.from_env(host="https://ours", token=SECRET)
    assert config.host == "https://ours"
    assert config.tokens() == {"token": SECRET}


def test_the_token_of_the_environment_is_only_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", SECRET)
    assert GatewayConfig.from_env(host="https://h").credential_of(None) == "env:DATABRICKS_TOKEN"


def test_empty_variables_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "")
    monkeypatch.setenv("DATABRICKS_TOKEN", "")
    monkeypatch.setenv("GATEWAY_BATCH_MAX_ATTEMPTS", "")
    config = GatewayConfig.from_env()
    assert (config.host, config.token, config.max_attempts) == (None, None, 5)


def test_endpoints_and_tags_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps({"local": {"base_url": "http://127.0.0.1:11434/v1/"}}))
    monkeypatch.setenv("GATEWAY_BATCH_REQUEST_TAGS", '{"team": "search"}')
    config = GatewayConfig.from_env()
    assert config.endpoints == {"local": EndpointConfig(base_url="http://127.0.0.1:11434/v1")}
    assert config.request_tags == {"team": "search"}


def test_endpoints_given_in_code_replace_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"a": {"base_url": "http://theirs", "token": SECRET}, "b": {"base_url": "http://b"}}
    monkeypatch.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(theirs))
    config = GatewayConfig.from_env(endpoints={"a": {"base_url": "http://ours"}})
    assert config.endpoints == {"a": EndpointConfig(base_url="http://ours")}


def test_tags_given_in_code_replace_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_REQUEST_TAGS", '{"team": "search"}')
    assert GatewayConfig.from_env(request_tags={"project": "x"}).request_tags == {"project": "x"}


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    assert refusal(max_concurency=3) == "max_concurency: no such setting"


def test_a_setting_of_an_endpoint_that_does_not_exist_is_refused_by_name() -> None:
    assert refusal(endpoints={"a": {"base_urll": "http://x"}}) == "endpoints.a.base_urll: no such setting"


def test_a_variable_that_does_not_exist_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_MAX_CONCURENCY", "3")
    message = refusal()
    assert message.startswith("GATEWAY_BATCH_MAX_CONCURENCY: no such setting; there are ")
    assert "GATEWAY_BATCH_MAX_CONCURRENCY" in message


def test_a_variable_that_is_not_json_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_ENDPOINTS", f'{{"a": {{"token": "{SECRET}"')
    message = refusal()
    assert "endpoints" in message
    assert "JSON" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dbc-1.cloud.databricks.com", "https://dbc-1.cloud.databricks.com"),
        (" https://h.example/ ", "https://h.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/gw//", "http://[::1]:8080/gw"),
    ],
)
def test_a_host_is_a_base_url(written: str, meant: str) -> None:
    assert GatewayConfig.from_env(host=written).host == meant


@pytest.mark.parametrize(
    "host",
    [
        "",
        "   ",
        "https://",
        "ftp://h",
        "https://user:pw@h",
        "https://h?o=1",
        "https://h#x",
        "https://a b",
        "h\nx",
    ],
)
def test_a_host_that_is_not_a_base_url_is_refused(host: str) -> None:
    message = refusal(host=host)
    assert message.startswith("host: is not a base URL")
    assert ";" not in message
    assert "pw" not in message


def test_a_base_url_of_an_endpoint_is_checked_as_well() -> None:
    assert refusal(endpoints={"a": {"base_url": "http://x/v1?key=1"}}).startswith(
        "endpoints.a.base_url: is not a base URL"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"request_tags": {"team": "\ud800"}},
        {"request_tags": {"\ud800": "x"}},
        {"requester": "b\udcff"},
        {"endpoints": {"a": {"model": "\ud800"}}},
    ],
)
def test_half_of_a_surrogate_pair_is_refused_by_name(settings: dict[str, Any]) -> None:
    (name,) = settings
    assert refusal(**settings) == f"{name}: holds half of a surrogate pair, or bytes that are no UTF-8"


@pytest.mark.parametrize("tags", [{"team": 1}, {"team": None}, {1: "x"}, {"team": ["a"]}])
def test_tags_map_strings_to_strings(tags: dict[Any, Any]) -> None:
    assert refusal(request_tags=tags).startswith("request_tags: must map strings to strings")


@pytest.mark.parametrize("name", ["usage", "ai_gateway.usage", "main.ai-gw.usage_2"])
def test_a_table_name_has_up_to_three_parts(name: str) -> None:
    assert GatewayConfig.from_env(usage_table=name).usage_table == name


@pytest.mark.parametrize("name", ["", ".", "a.", "a..b", "a.b.c.d", "a b", "a`b", "a;DROP TABLE b", "a\n", "ä"])
def test_a_table_name_that_could_be_anything_else_is_refused(name: str) -> None:
    assert refusal(usage_table=name) == "usage_table: is not a table name such as ai_gateway.usage"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_concurrency", 0),
        ("max_concurrency", 4097),
        ("max_concurrency", "many"),
        ("max_concurrency", 1.5),
        ("request_timeout", 0),
        ("row_deadline", -1),
        ("row_deadline", float("nan")),
        ("max_attempts", 0),
        ("max_attempts", 101),
        ("flush_interval", -0.1),
        ("cache_quota_mb", 0),
        ("transport", "requests"),
    ],
)
def test_a_value_out_of_range_is_one_clear_error(setting: str, value: object) -> None:
    message = refusal(**{setting: value})
    assert message.startswith(f"{setting}: Input should be ")
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize("setting", ["request_timeout", "row_deadline", "flush_interval"])
def test_a_time_must_be_finite(setting: str) -> None:
    """No timer takes infinity: the first call, or the drain's thread, would raise OverflowError."""
    assert refusal(**{setting: float("inf")}).startswith(f"{setting}: ")


@pytest.mark.parametrize(
    "coordination",
    ["host", "driver", "redis://h", "redis://h:6379/2", "redis://[::1]:1", "rediss://h", "unix:///run/r.sock?db=1"],
)
def test_a_coordination_without_a_password_stands_in_plans_as_it_is(coordination: str) -> None:
    config = GatewayConfig.from_env(coordination=coordination)
    assert config.coordination_reference() == coordination
    assert redis_url(config.coordination_reference(), Credentials()) == coordination
    assert is_redis(coordination) == (coordination not in ("host", "driver"))
    assert config.tokens() == {}
    assert coordination in repr(config)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@h:6379/0",
        f"rediss://user:{SECRET}@h",
        f"redis://h?password={SECRET}",
        f"unix://:{SECRET}@/run/redis.sock?db=1",
    ],
)
def test_a_redis_url_with_a_password_is_a_secret(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = GatewayConfig.from_env(coordination=url)
    assert config.coordination_reference() == "value:coordination"
    assert redis_url("value:coordination", config.credentials()) == url
    for shown in (repr(config), config.model_dump_json(), f"{config.model_dump()}"):
        assert SECRET not in shown
    monkeypatch.setenv("SHARED_REDIS", url)
    config = GatewayConfig.from_env(coordination="env:SHARED_REDIS")
    assert config.coordination_reference() == "env:SHARED_REDIS"
    assert redis_url("env:SHARED_REDIS", Credentials(config.credentials().values())) == url


def test_what_a_reference_stands_for_must_be_a_redis_url(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"http://{SECRET}@h")
    config = GatewayConfig.from_env(coordination=f"file:{tmp_path / 'url'}")
    with pytest.raises(ConfigError, match=r"^coordination: file:.* holds no Redis URL") as caught:
        redis_url(config.coordination_reference(), config.credentials())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "coordination",
    [
        "",
        "hosts",
        "redis://",
        "redis:///0",
        "http://h",
        f"redis://:{SECRET}/x@h",
        f"redis://:{SECRET}#@h",
        f"redis://h:{SECRET}",
        "redis://h:99999",
        "redis://a b",
        "redis://h/x",
        "unix://",
        "{{secrets/a/b}}",
        3,
    ],
)
def test_what_is_no_coordination_is_refused_unseen(coordination: object) -> None:
    message = refusal(coordination=coordination)
    assert message.startswith("coordination: is not host, driver, a URL such as redis://host:6379/0")
    assert SECRET not in message
    assert ";" not in message


@pytest.mark.parametrize("cache", ["query", "off", "run:nightly", "run:2026-10.1_a"])
def test_a_cache_reaches_over_a_query_or_a_run(cache: str) -> None:
    assert GatewayConfig.from_env(cache=cache).cache == cache


@pytest.mark.parametrize(
    "cache", ["", "on", "run", "run:", "run:..", "run:a/b", "run:a b", f"run:{'x' * 101}", "run:a\n"]
)
def test_a_cache_that_could_be_anything_else_is_refused(cache: str) -> None:
    assert refusal(cache=cache).startswith("cache: is not query, off or run:NAME")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "x" * 101, "a\n", "ä"])
def test_a_coordination_name_that_could_be_anything_else_is_refused(name: str) -> None:
    assert GatewayConfig.from_env(coordination_name="team-a_1.x").coordination_name == "team-a_1.x"
    assert refusal(coordination_name=name).startswith("coordination_name: ")


def test_all_wrong_settings_are_named_at_once() -> None:
    message = refusal(max_attempts=0, host="ftp://h", nonsense=1)
    assert all(f"{name}: " in message for name in ("max_attempts", "host", "nonsense"))


def test_settings_can_not_be_changed() -> None:
    config = GatewayConfig.from_env()
    with pytest.raises(ValueError, match="frozen"):
        config.max_attempts = 3


@pytest.mark.parametrize("shown", [repr, str, lambda config: config.model_dump_json()])
def test_a_token_is_not_shown(shown: Any) -> None:
    config = GatewayConfig.from_env(host="https://h", token=SECRET, endpoints={"a": {"token": SECRET + "-2"}})
    assert SECRET not in shown(config)


@pytest.mark.parametrize(
    "settings",
    [
        {"token": {"value": SECRET}},
        {"token": [SECRET]},
        {"token": f"{SECRET} with spaces"},
        {"token": f"{SECRET}\n"},
        {"token": f"{SECRET}-ü"},
        {"endpoints": {"a": {"token": [SECRET]}}},
        {"endpoints": {"a": {"token": f"{SECRET}\u200b"}}},
        {"endpoints": {"a": {"token": SECRET, "base_url": "ftp://h"}}},
        {"host": f"https://{SECRET}@h"},
    ],
)
def test_a_refusal_does_not_show_the_token(settings: dict[str, Any]) -> None:
    message = refusal(**settings)
    assert SECRET not in message
    assert message.startswith(("token: ", "endpoints.a.", "host: "))


def test_the_tag_of_event_ids_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GatewayConfig.from_env().event_id_tag is None
    monkeypatch.setenv("GATEWAY_BATCH_EVENT_ID_TAG", "gateway_batch.event-id")
    assert GatewayConfig.from_env().event_id_tag == "gateway_batch.event-id"
    for name in ("", "event id", "x" * 129, "a\n"):
        assert refusal(event_id_tag=name).startswith("event_id_tag: ")


def test_a_spool_folder_may_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(spool_folder(GatewayConfig.from_env(spool_dir="~/spool"))) == "/home/me/spool"
    assert local_folder_for("/shared", "~/local").parent == Path("/home/me/local")
