"""A spool folder that the hosts of a cluster don't share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import SETTINGS, Sessions
from tests.cluster.standalone import Cluster

DRIVER = """
import json, subprocess, sys, gateway_batch as gb
master, folder, settings = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)  # seen by this process and its JVM alone
spark = gb.local_session(folder + "-warehouse", master, settings=json.loads(settings))
try:
    gb.register_ai_query(spark, gb.GatewayConfig.from_env(host="http://127.0.0.1:9", token="none", spool_dir=folder))
except gb.ConfigError as error:
    print("refused:", error)
spark.stop()
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount")
def test_it_is_refused_when_the_function_is_registered(cluster: Cluster, sessions: Sessions, tmp_path: Path) -> None:
    sessions.stop()  # it has all the cluster's cores
    folder = tmp_path / "mount"
    folder.mkdir()
    own_mounts = ["unshare", "--mount", "--propagation", "private"]
    command = [*own_mounts, sys.executable, "-c", DRIVER, cluster.master, str(folder), json.dumps(SETTINGS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"refused: spool_dir: what the workers write to {folder} is not seen here. Set a folder" in done.stdout
    assert len(list(folder.glob("probe-*"))) == 8, "the workers' own folder of that name"
