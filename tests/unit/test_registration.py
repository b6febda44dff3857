from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.spark import functions
from gateway_batch.spark.gateway import check_version


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
