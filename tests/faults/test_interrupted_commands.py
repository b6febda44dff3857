"""Ctrl-C in the midst of each command that sends: exit code 130, a line that says so, and a ledger that reconciles."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway_batch.devgateway import RunningGateway, Settings, running

COMMAND = str(Path(sys.executable).with_name("gateway-batch"))
MAILS = "id,body\n" + "".join(f"{id_},Mail {id_} is about a lake. It is deep.\n" for id_ in range(5_000))
ASKED = "--source mails --key id --endpoint databricks-gpt-5-4 --output answers --input mails=mails.csv"
SENDING = {
    "sql": ["sql", "SELECT ai_query('databricks-gpt-5-4', body) AS a FROM mails", "--input", "mails=mails.csv",
            "--output", "answers.parquet"],
    "demo": ["demo", "--gateway", "env", "--input", "mails.csv", "--text-column", "body", "--dir", "."],
    "estimate": ["estimate", *ASKED.split(), "--prompt", "{body}", "--sample", "4000"],
    "run": ["run", *ASKED.split(), "--prompt", "{body}"],
}  # fmt: skip
SAYS = "interrupted; what was recorded is kept"
WAREHOUSE = {"demo": "warehouse"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", SENDING)
def test_ctrl_c_loses_nothing(tmp_path: Path, command: str) -> None:
    (tmp_path / "mails.csv").write_text(MAILS)
    with running(Settings(port=0, token="t0ken", latency_ms=100, ledger=tmp_path / "ledger.sqlite")) as server:
        settings = {**os.environ, "DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}
        with subprocess.Popen(
            [COMMAND, *SENDING[command]], cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as process:  # fmt: skip
            _wait_for(server, 500)
            process.send_signal(signal.SIGINT)
            pressed = time.monotonic()
            said, complained = process.communicate(timeout=60)
        print(f"{command}: ended {time.monotonic() - pressed:.1f} s after Ctrl-C")
        assert process.returncode == 130, said + complained
        assert complained.rstrip().endswith(SAYS)
        if command == "run":
            assert re.search(r"0 of 5,000 rows .* and about [\d,]+ whose answers are kept", " ".join(said.split()))
        assert "Traceback" not in complained
        sent = server.stats()["requests"]
        assert 500 <= sent < 4_000
        time.sleep(1)
        assert server.stats()["requests"] == sent, "nothing is sent after the end"
        words = ["reconcile", "ledger.sqlite", "--warehouse", WAREHOUSE.get(command, "spark-warehouse")]
        run_ledger = subprocess.run(
            [COMMAND, *words], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert run_ledger.returncode == 0, run_ledger.stdout + run_ledger.stderr


def _wait_for(server: RunningGateway, requests: int) -> None:
    until = time.monotonic() + 120
    while server.stats()["requests"] < requests:
        assert time.monotonic() < until
        time.sleep(0.05)
