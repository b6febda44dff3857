from __future__ import annotations

import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.spark.gateway import check_version


@pytest.mark.parametrize("version", ["3.5.9", "4.0.5"])
def test_a_spark_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match=rf"Spark {version} has no iterator Arrow functions.*use 4\.1 or newer"):
        check_version(version)


@pytest.mark.parametrize("version", ["4.1.1", "4.2.0", "4.10.0-SNAPSHOT", "5.0.0"])
def test_others_are_taken(version: str) -> None:
    check_version(version)
