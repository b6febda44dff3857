"""Environments of the other packages, made once from pinned requirements."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_FOLDER = Path("artifacts/peers").absolute()
_REQUIREMENTS = Path(__file__).parent / "requirements"
_TOKENS = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""The file name of the vocabulary o200k_base in tiktoken's cache folder."""


class NotInstalledError(Exception):
    """An environment could not be made."""


def python_of(environment: str) -> Path:
    """The interpreter of an environment, which is made if its requirements changed.

    Raises:
        NotInstalledError: the packages could not be installed.
    """
    requirements = _REQUIREMENTS / f"{environment}.txt"
    folder = _FOLDER / environment
    python, installed = folder / "venv/bin/python", folder / "installed.txt"
    wanted = requirements.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        if not python.exists():
            _run([sys.executable, "-m", "venv", str(folder / "venv")])
        _run([*_pip(python), "--no-deps", "--requirement", str(requirements)])
        installed.write_text(wanted)
    return python


def variables_of(environment: str) -> dict[str, str]:
    """Environment variables that a package needs so that it fetches nothing while it is measured."""
    folder = _FOLDER / environment
    variables = {"BENCHMARKS_IVY": str(folder / "ivy")}
    if environment == "openaivec":
        variables["TIKTOKEN_CACHE_DIR"] = str(_vocabulary(folder))
    return variables


def _vocabulary(folder: Path) -> Path:
    """Tiktoken would fetch its vocabulary from the web; LiteLLM's wheel has the same file."""
    target = folder / "litellm"
    cache = target / "litellm/litellm_core_utils/tokenizers"
    if not (cache / _TOKENS).exists():
        requirements = _REQUIREMENTS / "openaivec-vocabulary.txt"
        _run(
            [
                *_pip(folder / "venv/bin/python"),
                "--no-deps",
                "--target",
                str(target),
                "--requirement",
                str(requirements),
            ]
        )
    return cache


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_without_paths())
    if done.returncode:
        raise NotInstalledError(f"{' '.join(command)}: {done.stdout.strip().splitlines()[-1:]}")


def _without_paths() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
