"""Real text that every machine has: the docstrings of Python's standard library."""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_SHORTEST = 60
_NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "lib2to3"}


def docstrings(limit: int, longest: int | None = None) -> list[tuple[str, str]]:
    """Up to `limit` different docstrings as (name, text), in the order of the library's files.

    Args:
        limit: at most so many.
        longest: those of more characters are left out.
    """
    found = _different(Path(sysconfig.get_path("stdlib")))
    return list(islice((each for each in found if longest is None or len(each[1]) <= longest), limit))


def _different(library: Path) -> Iterator[tuple[str, str]]:
    seen = set()
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library)
        if _NOT_THE_LIBRARY.isdisjoint(place.parts):
            for name, text in _in_file(path, ".".join(place.with_suffix("").parts)):
                if text not in seen:
                    seen.add(text)
                    yield name, text


def _in_file(path: Path, module: str) -> Iterator[tuple[str, str]]:
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the library keeps some broken files, for its own tests
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) >= _SHORTEST:
                yield f"{module}.{node.name}" if not isinstance(node, ast.Module) else module, text
