from __future__ import annotations

import subprocess
import sys

import pytest

import gateway_batch

PUBLIC = [
    "AiFunctionError",
    "BatchJob",
    "BatchReport",
    "CallError",
    "CallEstimate",
    "Client",
    "ConfigError",
    "EndpointConfig",
    "Estimate",
    "Gateway",
    "GatewayBatchError",
    "GatewayConfig",
    "Image",
    "LedgerError",
    "MalformedError",
    "RejectedError",
    "ResponseFormat",
    "UnreachableError",
    "create_views",
    "estimate_batch",
    "estimate_query",
    "functions",
    "local_session",
    "refresh_usage",
    "register_ai_query",
    "run_batch",
    "write_dashboard",
]


OF_SPARK = {
    "Gateway", "create_views", "functions", "local_session", "refresh_usage", "register_ai_query", "write_dashboard",
}  # fmt: skip


def imported_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_the_public_names_are_these() -> None:
    assert gateway_batch.__all__ == PUBLIC


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - OF_SPARK))
def test_a_public_name_is_what_it_says(name: str) -> None:
    assert getattr(gateway_batch, name).__name__ == name


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ai_qery'"):
        gateway_batch.ai_qery  # noqa: B018


def test_what_workers_are_forked_from_has_one_thread_and_leaves_them_what_starts_some() -> None:
    script = (
        "import os, sys\nimport gateway_batch.spark.worker_daemon\nprint(*os.listdir('/proc/self/task'), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    thread, *modules = done.stdout.split()
    assert thread.isdigit()
    assert not modules[0].isdigit(), "another thread"
    assert "gateway_batch.runtime" in modules
    assert not {"pandas", "pyarrow"} & set(modules)


def test_importing_the_package_loads_no_spark_and_no_network() -> None:
    assert not imported_by("import gateway_batch") & {
        "pyspark",
        "pandas",
        "pyarrow",
        "delta",
        "pyreqwest",
        "pydantic",
        "redis",
    }


@pytest.mark.parametrize("statement", ["import gateway_batch.usage.adoption", "from gateway_batch import Client"])
def test_the_client_and_its_ledger_need_no_spark(statement: str) -> None:
    assert not imported_by(statement) & {"pyspark", "pandas", "pyarrow", "delta", "py4j"}


def test_the_signature_needs_no_spark() -> None:
    assert not imported_by("import gateway_batch.spark.signature") & {"pyspark", "pandas", "pyarrow"}
