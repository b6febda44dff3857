"""Hand-made faults in the package, one mechanism each: a patch, and above it what is wrong and which tests find it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent

_WHAT, _FOUND_BY = "What: ", "Found by: "


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        path: of its patch.
        what: is wrong, in a sentence.
        tests: that fail with it: node ids of pytest, the cheapest first.
    """

    path: Path
    what: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def files(self) -> list[str]:
        """Of the tree that it changes."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]


def read_mutants() -> list[Mutant]:
    return [_read(path) for path in sorted(FOLDER.glob("*.patch"))]


def apply(mutant: Mutant, tree: Path, *options: str) -> str:
    """Applies a patch; returns what git says against it, nothing if it applied.

    Args:
        mutant: whose patch.
        tree: the root of the package's sources.
        options: `--check` only tries, `--reverse` takes it back.
    """
    command = ["git", "apply", *options, str(mutant.path)]
    apart = {
        **os.environ,
        "GIT_CEILING_DIRECTORIES": str(tree.parent),
    }  # inside another checkout git would apply nothing
    done = subprocess.run(command, cwd=tree, env=apart, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "git apply failed"


def _read(path: Path) -> Mutant:
    head = path.read_text(encoding="utf-8").partition("\ndiff --git ")[0].splitlines()
    what = [line.removeprefix(_WHAT) for line in head if line.startswith(_WHAT)]
    tests = [line.removeprefix(_FOUND_BY) for line in head if line.startswith(_FOUND_BY)]
    return Mutant(path, " ".join(what), tuple(tests))
