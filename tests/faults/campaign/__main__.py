"""Runs the campaign: a run for each seed that has no result yet, a line for each, and a table at the end.

Exit code 0: the ledgers of all runs reconcile. 1: one doesn't, or a run was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign import results
from tests.faults.campaign.disks import enter_namespace
from tests.faults.campaign.places import PLACES
from tests.faults.campaign.plan import LOCAL, make_plan
from tests.faults.campaign.run import run
from tests.faults.campaign.run_ledger import BROKEN
from tests.quick_start import quick_driver

RESULTS = Path("artifacts/faults/campaign.jsonl")
_MOST_BROKEN_IN_A_ROW = 3


def main() -> int:
    options = _parser().parse_args()
    seeds = range(options.start, options.start + options.runs)
    found = {} if options.again else results.read(options.results, options.where, seeds)
    to_do = results.still_to_do(found, seeds)
    if to_do:
        enter_namespace(["-m", "tests.faults.campaign", *sys.argv[1:]])
        os.environ.setdefault("SPARK_SUBMIT_OPTS", quick_driver())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that a cluster ends, too
        logging.getLogger("gateway_batch").setLevel(logging.ERROR)
        _run_all(options.where, to_do, options.results)
    found = results.read(options.results, options.where, seeds)
    print(results.summary(list(found.values())))
    return 0 if all(map(results.is_right, found.values())) and not results.still_to_do(found, seeds) else 1


def _run_all(where: str, seeds: list[int], path: Path) -> None:
    folder = (path.parent / f"runs-{os.getpid()}").absolute()
    folder.mkdir(parents=True)
    kept, broken, commit = False, 0, _commit()
    with _errors_into(folder / "stderr"), PLACES[where](folder) as place:
        for seed in seeds:
            result = {**run(place, make_plan(where, seed, place.kinds)), "commit": commit}
            results.append(path, result)
            print(results.line(result), flush=True)
            kept |= "folder" in result
            broken = broken + 1 if result["verdict"] == BROKEN else 0
            if broken == _MOST_BROKEN_IN_A_ROW:
                print(f"{broken} runs in a row were broken: stopped", flush=True)
                break
    if not kept:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """What Spark and its workers say of deaths goes into a file."""
    sys.stderr.flush()
    true = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(true, 2)
        os.close(true)


def _commit() -> str | None:
    """Which version of the code runs; None where that can't be said. Changes on top of it don't show."""
    with contextlib.suppress(OSError):
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--start", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--where", choices=sorted(PLACES), default=LOCAL, help=f"which session ({LOCAL})")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"JSON lines, added to ({RESULTS})")
    parser.add_argument("--again", action="store_true", help="run seeds that have a result, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
