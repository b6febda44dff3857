"""A driver of its own, to be killed with all its processes: `python -m tests.faults.campaign.driver <JSON>`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import gateway_batch as gb
from tests.faults.campaign.drain_process import ROOT
from tests.faults.campaign.places import SETTINGS, worker_settings
from tests.faults.campaign.queries import query


def start_driver(environment: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts one, in a session of its own. Options: `warehouse`, `config`, `rows`, `partitions`, `environment`."""
    given = json.dumps({**options, "environment": dict(environment)})
    return subprocess.Popen(
        [sys.executable, "-m", __name__, given],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
        cwd=ROOT,
        start_new_session=True,
    )


def main(options: dict[str, Any]) -> None:
    threading.Thread(target=_end_with_starter, daemon=True).start()
    settings = {**SETTINGS, **worker_settings(options["environment"])}
    spark = gb.local_session(options["warehouse"], "local[2,4]", settings=settings)
    with gb.register_ai_query(spark, gb.GatewayConfig.from_env(**options["config"])):
        query(spark, options["rows"], options["partitions"]).collect()


def _end_with_starter() -> None:
    """The other end of this pipe closes when the campaign ends, however it does."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
