"""Programs that use a client, run as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway_batch.devgateway import RunningGateway
from tests.waiting import WITHIN_S

from .conftest import TOKEN

_BEGIN = f"""
import sys
import gateway_batch as gb
config = gb.GatewayConfig.from_env(host=sys.argv[1], token="{TOKEN}", spool_dir=sys.argv[2])
client = gb.Client(config)
prompts = [f"Lake {{number}} is a deep and quiet lake." for number in range(40)]
"""

PLAIN = "client.query_many('databricks-gpt-5-4', prompts)"
AWAITED = "import asyncio; asyncio.run(client.aquery_many('databricks-gpt-5-4', prompts))"
RAISES = f"{PLAIN}\nraise ValueError('mine')"
EXITS = f"{PLAIN}\nsys.exit(3)"
CLOSED = f"with client: {PLAIN}"
HANGING = 10
BUSY = f"""
import pathlib, threading, time
{PLAIN}
def call():
    try:
        client.query_many('databricks-gpt-5-4', ['hang'] * {HANGING})
    except RuntimeError as error:
        print(error)
def under_way():
    lines = [path.read_bytes() for path in pathlib.Path(sys.argv[2]).glob("active/*/*.log")]
    return sum(each.count(b" I {{") - each.count(b" O {{") for each in lines)
threading.Thread(target=call, daemon=True).start()
while under_way() < {HANGING}:
    time.sleep(0.01)
"""
FORKS = f"""
import os
from gateway_batch.response_cache.process_cache import shared_dir
slots = shared_dir(client.application_id + "-1")
assert slots.is_dir()
child = os.fork()
if child == 0:
    try:
        {PLAIN}
    except RuntimeError as error:
        sys.exit(7 if 'make one in each process' in str(error) else 1)
print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert slots.is_dir(), "the child took its parent's slots away"
{PLAIN}
"""
OF_SERIES = """
import os
import pandas as pd
import gateway_batch.pandas
os.environ |= {"DATABRICKS_HOST": sys.argv[1], "DATABRICKS_TOKEN": config.token.get_secret_value()}
os.environ["GATEWAY_BATCH_SPOOL_DIR"] = sys.argv[2]
texts = pd.Series(prompts)
texts.ai.query('databricks-gpt-5-4')
"""
FORKED_SERIES = f"""{OF_SERIES}
child = os.fork()
if child == 0:
    try:
        texts.ai.query('databricks-gpt-5-4')
    except RuntimeError as error:
        sys.exit(7 if 'fork' in str(error) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
texts.ai.query('databricks-gpt-5-4')
"""


def start(script: str, server: RunningGateway, spool_dir: Path) -> subprocess.Popen[str]:
    """Starts a program; warnings are errors in it."""
    command = [sys.executable, "-W", "error", "-c", _BEGIN + script, server.host, str(spool_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for the end: exit code, stdout, stderr."""
    out, err = process.communicate(timeout=2 * WITHIN_S)
    return process.returncode, out, err
