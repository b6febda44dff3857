"""Shows that the tests find each fault of this folder: `python -m tests.mutants [--only NAME ...]`.

The tree is copied to a temporary folder. There the named tests must pass first; then each patch is applied, its tests
are run, and it is taken back. A fault is found if a test failed: an error of a fixture, of collecting or of importing
finds nothing, and neither does a run that is still going on after ten minutes.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.patches import Mutant, apply, read_mutants

ROOT = Path(__file__).parents[2]

_LEFT_OUT = (
    ".git",
    ".venv*",
    ".tools",
    ".*_cache",
    "__pycache__",
    ".hypothesis",
    "demo",
    "spark-warehouse",
    "artifacts",
    "build",
    "dist",
)
_LIMIT_S = 600.0
_ALL_LIMIT_S = 3_600.0
_TESTS_FAILED = 1
_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
_WITHOUT_SPARK = ("tests/unit/", "tests/property/", "tests/client/", "tests/devgateway/")


def main() -> int:
    options = _options()
    mutants = [each for each in read_mutants() if not options.only or _is_one_of(each, options.only)]
    if not mutants:
        print(f"no such fault: {', '.join(options.only)}")
        return 1
    with tempfile.TemporaryDirectory(prefix="gateway_batch_mutants-") as folder:
        copies = [_copy(options.tree.resolve(), Path(folder) / str(number)) for number in range(options.jobs)]
        if not _pass(copies[0], mutants):
            return 1
        free = queue.SimpleQueue[Path]()
        for copy in copies:
            free.put(copy)
        with ThreadPoolExecutor(options.jobs) as pool:
            found = 0
            for line, is_found in pool.map(lambda mutant: _judged(mutant, free), mutants):
                print(line, flush=True)
                found += is_found
    print(f"{found} of {len(mutants)} found")
    return 0 if found == len(mutants) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Whether the tests find each fault.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these faults, by name or number")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="number at once, each in a copy of its own")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the sources and tests to try; else this checkout")
    return parser.parse_args()


def _is_one_of(mutant: Mutant, names: Iterable[str]) -> bool:
    number, _, name = mutant.name.partition("-")
    return any(each in (number, name, mutant.name) for each in names)


def _copy(tree: Path, target: Path) -> Path:
    """A copy of the tree that goes before the installed package in every process started there."""
    shutil.copytree(tree, target, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    if (tools := ROOT / ".tools").is_dir():
        (target / ".tools").symlink_to(tools)
    command = [sys.executable, "-c", "import gateway_batch; print(gateway_batch.__file__)"]
    imported = subprocess.run(command, cwd="/", env=_environment(target), check=True, capture_output=True, text=True)
    if Path(imported.stdout.strip()).parent != target / "gateway_batch":
        raise SystemExit(f"not the copy is imported but {imported.stdout}")
    return target


def _environment(copy: Path) -> dict[str, str]:
    """Without bytecode, which is dated by the second only."""
    return {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def _pass(copy: Path, mutants: Iterable[Mutant]) -> bool:
    """Whether the tests pass without a fault; says which don't."""
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    for group in _groups(tests):
        started = time.monotonic()
        code, said = _pytest(copy, group, limit_s=_ALL_LIMIT_S)
        if code != 0:
            print(f"FAILED without a fault: pytest ended with {code}\n{said[-5_000:]}")
            return False
        print(
            f"passed without a fault: {len(group)} of {len(tests)} tests in {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return True


def _groups(tests: Iterable[str]) -> Iterator[list[str]]:
    """Tests of one process: a folder that starts a Spark session has one of its own."""
    groups: dict[str, list[str]] = {}
    for test in tests:
        folder = "" if test.startswith(_WITHOUT_SPARK) else test.split("/")[1]
        groups.setdefault(folder, []).append(test)
    yield from groups.values()


def _judged(mutant: Mutant, free: queue.SimpleQueue[Path]) -> tuple[str, bool]:
    """A line about a fault, and whether it was found."""
    with _one_of(free) as copy:
        if fault := apply(mutant, copy):
            return f"NOT APPLIED {mutant.name}: {fault}", False
        started = time.monotonic()
        code, said = _pytest(copy, mutant.tests, "-x")
        seconds = time.monotonic() - started
        if fault := apply(mutant, copy, "--reverse"):
            raise RuntimeError(f"{mutant.name} can't be taken back: {fault}")
    failed = _FAILED.search(said)
    if code == _TESTS_FAILED and failed:
        return f"found {mutant.name} by {failed[1]} in {seconds:.1f} s", True
    end = "after its time" if code is None else f"with {code}"
    return f"NOT FOUND {mutant.name}: pytest ended {end} in {seconds:.1f} s\n{said[-3_000:]}", False


@contextmanager
def _one_of(free: queue.SimpleQueue[Path]) -> Iterator[Path]:
    copy = free.get()
    try:
        yield copy
    finally:
        free.put(copy)


def _pytest(copy: Path, tests: Iterable[str], *options: str, limit_s: float = _LIMIT_S) -> tuple[int | None, str]:
    """The exit code, None after `limit_s`, and what it said."""
    own = ["-q", "-p", "no:cacheprovider", f"--basetemp={copy}.tmp", *options]
    command = [sys.executable, "-m", "pytest", *own, *tests]
    with subprocess.Popen(
        command, cwd=copy, env=_environment(copy), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            return None, (error.output or b"").decode(errors="replace")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said


if __name__ == "__main__":
    sys.exit(main())
