"""The job of docs/cluster.md, submitted as it is written there but for addresses and folders."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from gateway_batch.devgateway import Settings, running
from tests.cluster.conftest import SETTINGS, TOKEN
from tests.cluster.standalone import Cluster
from tests.pages import blocks
from tests.redis_server import redis_running


@pytest.mark.timeout(300)
def test_the_job_runs(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text(
        "id,body\n" + "".join(f"{id_},Mail {id_ % 15} is short.\n" for id_ in range(30))
    )
    (code,), (shell,) = blocks("docs/cluster.md", "python"), blocks("docs/cluster.md", "bash")
    (tmp_path / "summarize.py").write_text(code.text.replace("/mnt/shared", str(tmp_path)))
    with (
        running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite")) as server,
        redis_running(tmp_path) as redis,
    ):
        small = "".join(f" --conf '{name}={value}'" for name, value in SETTINGS.items())
        places = {
            "https://workspace.example": server.host,
            "DATABRICKS_TOKEN=token": f"DATABRICKS_TOKEN={TOKEN}",
            "redis://redis.example:6379/0": redis.url,
            "spark://spark.example:7077": cluster.master + small,
            "/mnt/shared": str(tmp_path),
        }
        script = shell.text
        for written, here in places.items():
            assert written in script
            script = script.replace(written, here)
        own = {"PATH": f"{Path(pyspark.__file__).parent / 'bin'}:{os.environ['PATH']}", "SPARK_LOCAL_IP": "127.0.0.1"}
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**os.environ, **own, "PYSPARK_PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert re.search(r"^30 summaries, \d+ usage records$", done.stdout, re.MULTILINE), done.stdout
        assert server.stats()["requests"] == 15, "identical requests are sent once over both hosts"
