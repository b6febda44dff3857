"""What the README shows runs as written, from top to bottom."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway_batch.devgateway import Settings, running
from tests.pages import ROOT, blocks, commands
from tests.unit.command import command

pytestmark = pytest.mark.timeout(1800)

README = (ROOT / "README.md").read_text(encoding="utf-8")
LONGEST = 120
SERVED = {"DATABRICKS_HOST": "http://127.0.0.1:8080", "DATABRICKS_TOKEN": "secret"}


def shown(program: str) -> list[list[str]]:
    """The words of each command of a program, without those behind it in a shell."""
    lines = (shlex.split(line, comments=True) for block in blocks("README.md", "bash") for line in commands(block))
    return [[word for word in words[1:] if word != "&"] for words in lines if words[0] == program]


def test_the_python_block_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("README.md", "python")
    with (
        running(Settings(port=0, token="t0ken", ledger=place / "ledger.sqlite")) as server,
        patch.dict("os.environ", {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}),
    ):
        exec(compile(block.text, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "The lake was cold, and" in printed
    assert re.search(r"databricks-gpt-5-4\|\s+200\|\s+2\|", printed), printed


def test_the_query_sends_what_its_condition_leaves_and_its_usage_is_reported(place: Path) -> None:
    (query, usage, serve) = shown("gateway-batch")
    done = command(*query)
    assert done.returncode == 0, done.stderr
    assert "The lake was cold, and deep." in done.stdout
    assert re.search(r"Rain\.\s+NULL", done.stdout), done.stdout
    reported = command(*usage, "--csv")
    assert reported.returncode == 0, reported.stderr
    assert reported.stdout.splitlines()[1].startswith("gpt-5-4-stand-in,1,"), reported.stdout
    assert command(*serve, "--help").returncode == 0


def test_the_python_block_is_pointed_at_what_is_served() -> None:
    (_, _, serve) = shown("gateway-batch")
    (exported,) = shown("export")
    assert dict(word.split("=") for word in exported) == SERVED
    assert serve == ["serve", "--port", "8080", "--token", "secret"]


def test_the_targets_of_make_exist() -> None:
    for words in shown("make"):
        done = subprocess.run(["make", *words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)


def test_the_extras_are_those_there_are() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = README.partition("Extras:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`|\.\[(\w+)\]", named)) == {
        ("", name) if f".[{name}]" in named else (name, "") for name in extras
    }


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


def test_the_files_that_are_linked_exist() -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []
