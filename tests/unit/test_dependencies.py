"""What `pyproject.toml` declares is imported, and what is imported is declared."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = "dependencies"
DECLARED: dict[str, list[str]] = {BASE: PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
EVERY = [(extra, Requirement(line).name) for extra, lines in DECLARED.items() for line in lines]

IMPORTED_ELSEWHERE = {
    "googleapis-common-protos": "pyspark's Connect client imports it, and pyspark declares it in an extra only",
    "grpcio": "likewise",
    "grpcio-status": "likewise",
    "zstandard": "likewise",
    "matplotlib": "the notebooks import it",
    "ipykernel": "the kernel that runs the notebooks; nothing imports it",
}
"""Declared for what is not in the package, and why."""

COME_WITH = {"py4j": "pyspark", "ipython": "ipykernel"}
"""Imported, and declared by a declared distribution: pyspark pins its py4j; IPython is imported in notebooks only."""


def imports_in(folder: Path) -> Iterator[str]:
    """Top-level names that the modules of a folder import, inside functions too."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield node.module.partition(".")[0]


@cache
def imports_of_the_package() -> frozenset[str]:
    return frozenset(imports_in(ROOT / "gateway_batch")) - sys.stdlib_module_names - {"gateway_batch"}


@cache
def distributions() -> dict[str, set[str]]:
    """Names of distributions by what of them is imported."""
    found = importlib.metadata.packages_distributions()
    return {name: {canonicalize_name(each) for each in names} for name, names in found.items()}


def imported_names(distribution: str) -> set[str]:
    wanted = canonicalize_name(distribution)
    names = {name for name, of in distributions().items() if wanted in of}
    assert names, f"{distribution} is not installed"
    return names


@pytest.mark.parametrize(("extra", "name"), [pair for pair in EVERY if pair[1] not in IMPORTED_ELSEWHERE])
def test_what_is_declared_is_imported(extra: str, name: str) -> None:
    assert imported_names(name) & imports_of_the_package(), f"{extra}: nothing in gateway_batch imports {name}"


def test_what_is_imported_is_declared() -> None:
    declared = {canonicalize_name(name) for _, name in EVERY} | COME_WITH.keys()
    undeclared = {name for name in imports_of_the_package() if not distributions().get(name, set()) & declared}
    assert undeclared == set()


@pytest.mark.parametrize(("name", "by"), COME_WITH.items())
def test_what_comes_with_another_does(name: str, by: str) -> None:
    requirements = importlib.metadata.requires(by) or []
    assert name in {canonicalize_name(Requirement(line).name) for line in requirements}
    assert by in {each for _, each in EVERY}


def test_what_is_imported_elsewhere_is_declared_and_imported_there_only() -> None:
    assert IMPORTED_ELSEWHERE.keys() <= {name for _, name in EVERY}
    assert not {each for name in IMPORTED_ELSEWHERE for each in imported_names(name)} & (
        imports_of_the_package() - {"google"}  # a namespace of several distributions
    )


@pytest.mark.parametrize("name", ["googleapis-common-protos", "grpcio", "grpcio-status", "zstandard"])
def test_the_connect_extra_is_what_pyspark_imports(name: str) -> None:
    spec = importlib.util.find_spec("pyspark.sql.connect")
    assert spec is not None
    assert spec.origin is not None
    assert imported_names(name) & set(imports_in(Path(spec.origin).parent))


def test_the_notebooks_import_their_extra() -> None:
    assert "matplotlib" in set(imports_in(ROOT / "notebooks"))
