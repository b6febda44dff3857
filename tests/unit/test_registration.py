"""Registrations and who has which function, with the session's side played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from gateway_batch.config import GatewayConfig
from gateway_batch.errors import ConfigError
from gateway_batch.spark import functions, gateway
from gateway_batch.spark.calls.ai_functions import TaskFunction
from gateway_batch.spark.gateway import Gateway, check_version, register_ai_query

TASK = "ai_gen"


class Session:
    """A session that knows whose its functions are."""

    version = "4.2.0"

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.lives = True


class Functions:
    scope = ""

    def __init__(self, spark: Session, config: GatewayConfig, spool_dir: Path) -> None:
        self.spark = spark
        self.config = config

    @staticmethod
    def has_anothers(spark: Session, name: str) -> bool:
        return False

    def add(self, name: str, task: TaskFunction | None) -> None:
        assert task is None or task.name == name
        self.spark.functions[name] = self

    def remove(self, name: str) -> None:
        del self.spark.functions[name]

    def forget_ended_queries(self, *, all_that_ended: bool = False) -> None:
        pass

    def session_lives(self) -> bool:
        return self.spark.lives

    def is_active(self) -> bool:
        return True


class Usage:
    table = "ai_gateway.usage"
    spool_dir = Path("/nowhere")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def flush(self) -> int:
        return 0


Register = Callable[..., Gateway]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Register:
    monkeypatch.setattr(gateway, "_kind_of", lambda spark: Functions)
    monkeypatch.setattr(gateway, "_open", [])
    monkeypatch.setattr(gateway, "spool_dir_of", lambda spark, config: tmp_path)
    monkeypatch.setattr(gateway, "Usage", Usage)

    def made(session: Session, name: str = "ai_query", **options: Any) -> Gateway:
        config = GatewayConfig.from_env(flush_interval=0)
        return register_ai_query(cast(SparkSession, session), config, name, **options)

    return made


def owners(session: Session, *names: str) -> list[object]:
    return [session.functions.get(name) for name in names]


def test_closing_one_registration_leaves_the_others_whole(register: Register) -> None:
    session = Session()
    first, second = register(session), register(session, "two")
    assert owners(session, "ai_query", "two", TASK) == [first._functions, second._functions, second._functions]
    second.close()
    assert owners(session, "ai_query", "two", TASK) == [first._functions, None, first._functions]
    assert functions_of(first) == first._functions
    first.close()
    assert session.functions == {}


def test_in_whatever_order_they_are_closed(register: Register) -> None:
    session = Session()
    one, two, three = (register(session, name) for name in ("one", "two", "three"))
    one.close()
    three.close()
    assert owners(session, "one", "two", "three", TASK) == [None, two._functions, None, two._functions]
    two.close()
    two.close()
    assert session.functions == {}


def test_a_name_that_is_registered_again_is_the_newer_ones(register: Register) -> None:
    session = Session()
    before, other = register(session), register(session, "other", tasks=False)
    again = register(session)
    assert owners(session, "ai_query", "other", TASK) == [again._functions, other._functions, again._functions]
    before.close()
    assert owners(session, "ai_query", TASK) == [again._functions] * 2
    again.close()
    assert owners(session, "ai_query", "other", TASK) == [None, other._functions, None]


def test_a_registration_under_a_task_functions_name_closes_no_other(register: Register) -> None:
    session = Session()
    first = register(session)
    named = register(session, TASK, tasks=False)
    assert owners(session, "ai_query", TASK) == [first._functions, named._functions]
    named.close()
    assert owners(session, "ai_query", TASK) == [first._functions] * 2
    assert functions_of(first) == first._functions


def test_a_session_that_has_ended_gives_nothing_back(register: Register) -> None:
    session, next_session = Session(), Session()
    ended = register(session)
    session.lives = False
    later = register(next_session, "later")
    later.close()
    assert next_session.functions == {}
    ended.close()


def functions_of(registration: Gateway) -> object:
    """Whose Columns of a task function would be."""
    return gateway.registration_of(TASK, registration.name)._functions


@pytest.mark.parametrize("version", ["3.5.9", "4.0.5"])
def test_a_spark_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match=rf"Spark {version} has no iterator Arrow functions.*use 4\.1 or newer"):
        check_version(version)


@pytest.mark.parametrize("version", ["4.1.1", "4.2.0", "4.10.0-SNAPSHOT", "5.0.0"])
def test_others_are_taken(version: str) -> None:
    check_version(version)


def test_a_column_without_a_registration_says_what_to_do() -> None:
    calls: list[Callable[[], object]] = [lambda: functions.ai_query("m", "text"), lambda: functions.ai_gen("text")]
    for make in calls:
        with pytest.raises(RuntimeError, match=r"call gateway_batch\.register_ai_query\(spark\) first"):
            make()
