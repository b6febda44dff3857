from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import gateway_batch

PUBLIC = [
    "AiFunctionError",
    "Answer",
    "BatchJob",
    "BatchReport",
    "CallError",
    "CallEstimate",
    "Client",
    "ConfigError",
    "Counts",
    "EndpointConfig",
    "ErrorKind",
    "Estimate",
    "File",
    "Gateway",
    "GatewayBatchError",
    "GatewayConfig",
    "Interval",
    "LedgerError",
    "Maintained",
    "MalformedError",
    "Refreshed",
    "RejectedError",
    "ResponseFormat",
    "Savings",
    "Status",
    "TokenUsage",
    "UnreachableError",
    "Usage",
    "__version__",
    "create_views",
    "estimate_batch",
    "estimate_query",
    "functions",
    "local_session",
    "refresh_usage",
    "register_ai_query",
    "run_batch",
    "usage_frame",
    "write_dashboard",
]

OF_SPARK = {
    "Gateway", "Maintained", "Refreshed", "Usage", "create_views", "functions", "local_session", "refresh_usage",
    "register_ai_query", "write_dashboard",
}  # fmt: skip
NO_CLASSES = {"__version__"}


def imported_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_the_public_names_are_these() -> None:
    assert gateway_batch.__all__ == dir(gateway_batch) == PUBLIC


def test_type_checkers_see_the_names_that_are_there() -> None:
    tree = ast.parse(Path(gateway_batch.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {name.asname: node.module for node in imports for name in node.names}
    assert seen == {name: f"gateway_batch.{home}" for name, home in gateway_batch._HOMES.items()}


def test_the_version_is_the_installed_one() -> None:
    assert gateway_batch.__version__ == version("gateway-batch")


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - OF_SPARK - NO_CLASSES))
def test_a_public_name_is_what_it_says(name: str) -> None:
    assert getattr(gateway_batch, name).__name__ == name


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ai_qery'"):
        gateway_batch.ai_qery  # noqa: B018


def test_what_workers_are_forked_from_has_no_thread_that_a_fork_would_lack() -> None:
    """jemalloc makes its own anew in a child; that of OpenBLAS, which does too, is not started here."""
    threads = "sorted(Path('/proc/self/task').glob('*/comm'), key=lambda path: int(path.parent.name))"
    imports = "import gateway_batch.spark.worker.worker_daemon\nfrom pathlib import Path"
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}\nfor path in {threads}: print(path.read_text())"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    own, *others = done.stdout.split()
    assert own.startswith("python")
    assert set(others) <= {"jemalloc_bg_thd"}


def test_importing_the_package_loads_no_spark_and_no_network() -> None:
    assert not imported_by("import gateway_batch") & {
        "pyspark",
        "pandas",
        "pyarrow",
        "delta",
        "pyreqwest",
        "httpx",
        "pydantic",
        "redis",
    }


@pytest.mark.parametrize("statement", ["import gateway_batch.usage.recovery", "from gateway_batch import Client"])
def test_the_client_and_its_ledger_need_no_spark(statement: str) -> None:
    assert not imported_by(statement) & {"pyspark", "pandas", "pyarrow", "delta", "py4j"}


def test_no_http_library_is_loaded_before_it_is_used() -> None:
    assert not imported_by("from gateway_batch import Client") & {"pyreqwest", "httpx"}
    opened = "from gateway_batch.transport import open_transport; open_transport({!r}, 'tests')"
    assert imported_by(opened.format("pyreqwest")) & {"pyreqwest", "httpx"} == {"pyreqwest"}
    assert imported_by(opened.format("httpx")) & {"pyreqwest", "httpx"} == {"httpx"}


def test_the_signature_needs_no_spark() -> None:
    assert not imported_by("import gateway_batch.spark.calls.signature") & {"pyspark", "pandas", "pyarrow"}


def test_what_a_client_of_spark_connect_loads_needs_no_py4j() -> None:
    """pyspark-client has none; pyspark, which is installed here, loads its own before."""
    code = (
        "import sys, pyspark.sql.connect.session\n"
        "sys.modules.update({'py4j.java_gateway': None, 'py4j.protocol': None})\n"
        "import gateway_batch.spark.gateway, gateway_batch.spark.sql_functions.connect"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
