"""`gateway-batch` in this process: its entry point, with a user's words, exit code and output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import patch

import typer.main

from gateway_batch.cli.main import app, main


def command(*words: str, **environment: str) -> CompletedProcess[str]:
    """Runs a command in the folder and the environment of now; what is no failure of the user's is raised."""
    out, errors = StringIO(), StringIO()
    code: Any = 0
    with (
        patch.object(sys, "argv", ["gateway-batch", *words]),
        patch.dict("os.environ", {"COLUMNS": "100", **environment}),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return CompletedProcess(words, code, out.getvalue(), errors.getvalue())


def every_command() -> Iterator[str]:
    """Each command's words; those of a group, and the group by itself, where it is a command too."""

    def walk(found: Any, words: list[str]) -> Iterator[str]:
        if words and (not hasattr(found, "commands") or found.invoke_without_command):
            yield " ".join(words)
        for name, below in getattr(found, "commands", {}).items():
            yield from walk(below, [*words, name])

    return walk(typer.main.get_command(app), [])
