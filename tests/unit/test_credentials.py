from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gateway_batch.config import Credentials, GatewayConfig, credential_reference, resolve_service
from gateway_batch.errors import ConfigError

SECRET = "dapi-very-secret"


@pytest.mark.parametrize(
    ("token", "reference"),
    [(SECRET, "value:token"), ("env:MY_TOKEN", "env:MY_TOKEN"), ("file:/run/token", "file:/run/token")],
)
def test_a_token_given_by_value_is_referred_to_by_its_setting(token: str, reference: str) -> None:
    assert credential_reference(token, "token") == reference


@pytest.mark.parametrize("token", ["secret:scope/key", "{{secrets/scope/key}}"])
def test_a_secret_of_databricks_is_refused_until_it_is_supported(token: str) -> None:
    with pytest.raises(ConfigError, match=r"^token: Databricks secret references are not supported yet"):
        GatewayConfig.from_env(host="https://h", token=token)


def test_a_value_is_resolved_from_what_the_driver_sent() -> None:
    assert Credentials.of({"token": SECRET}).resolve("value:token") == SECRET


def test_a_variable_of_the_driver_is_sent_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    sent = Credentials.of({"token": "env:MY_TOKEN"}).values()
    monkeypatch.delenv("MY_TOKEN")
    assert Credentials(sent).resolve("env:MY_TOKEN") == SECRET


def test_a_variable_that_only_the_worker_has_is_read_there(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials.of({"token": "env:MY_TOKEN"})
    assert credentials.values() == {}
    monkeypatch.setenv("MY_TOKEN", SECRET)
    assert credentials.resolve("env:MY_TOKEN") == SECRET


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"the environment variable MY_TOKEN is not set"):
        Credentials().resolve("env:MY_TOKEN")


def test_a_file_is_read_anew_each_time_and_without_its_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    monkeypatch.setenv("HOME", str(path.parent))
    assert Credentials().resolve(f"file:~/{path.name}") == "one"
    credentials = Credentials.of({"token": f"file:{path}"})
    assert credentials.values() == {}
    assert credentials.resolve(f"file:{path}") == "one"
    path.write_text("two\n")
    assert credentials.resolve(f"file:{path}") == "two"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a b", b"dapi\xff\xfe", "dapi-ü".encode()])
def test_a_file_without_a_usable_token_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        Credentials().resolve(f"file:{path}")
    assert "dapi" not in str(caught.value)


def test_a_value_that_was_not_sent_is_not_looked_for_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("not-a-token-of-ours")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="token"):
        Credentials().resolve("value:token")


def test_credentials_do_not_show_their_values() -> None:
    credentials = Credentials.of({"token": SECRET, "endpoints.a.token": SECRET + "-2"})
    assert f"{credentials!r}" == "Credentials(value:token=***, value:endpoints.a.token=***)"
    assert SECRET not in f"{credentials} {credentials!r} {[credentials]}"


def test_the_values_handed_out_are_a_copy() -> None:
    credentials = Credentials.of({"token": SECRET})
    credentials.values().clear()
    assert credentials.resolve("value:token") == SECRET


def test_a_resolved_service_pickles_without_the_token() -> None:
    config = GatewayConfig.from_env(host="https://h", token=SECRET)
    service = resolve_service(config, "databricks-gpt-5-4")
    assert service.credential == "value:token"
    assert SECRET.encode() not in pickle.dumps(service)
    assert SECRET not in repr(service)
