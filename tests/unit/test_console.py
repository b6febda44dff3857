"""What the commands print of texts that are not theirs: each as it is, and no orders to the terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from gateway_batch.cli import main as command_line
from gateway_batch.cli.console import output, styled
from gateway_batch.errors import ConfigError

TEXTS = ["Dear [name], see [red]x", "end [/b] tag", ":warning: :smile:", "https://a/b [link=x]y[/link]"]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setattr(output, "_file", file)
    return file


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_printed_as_it_is(printed: io.StringIO, text: str) -> None:
    table = Table(text, caption=text)
    table.add_row(text)
    output.print(table)
    output.print(text)
    assert printed.getvalue().count(text) == 4


def test_a_terminal_gets_no_orders(printed: io.StringIO) -> None:
    output.print("\x1b[2J\x1b]0;title\x07 \u009b31m\n\tgood \r\x00")
    assert printed.getvalue().split("\n")[0] == "\\x1b[2J\\x1b]0;title\\x07 \\x9b31m"
    assert "good \\x0d\\x00" in printed.getvalue()


def test_our_own_words_are_styled(printed: io.StringIO) -> None:
    output.print(styled("[bold]done[/]"), "[not ours]")
    assert printed.getvalue() == "done [not ours]\n"


def test_an_error_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(args: list[str], standalone_mode: bool) -> None:
        raise ConfigError("input: a[1].csv [/b]")

    monkeypatch.setattr(command_line, "app", fails)
    with pytest.raises(SystemExit):
        command_line.main()
    assert "error input: a[1].csv [/b]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--output=~/a.csv", "--output=/home/me/a.csv"),
        ("--input=t=~/a.csv", "--input=t=/home/me/a.csv"),
        ("t=~/a.csv", "t=/home/me/a.csv"),
        ("~/a", "/home/me/a"),
        ("--prompt=~", "--prompt=~"),
        ("a~/b", "a~/b"),
        ("SELECT '~/x'", "SELECT '~/x'"),
        ("--output=~other/a.csv", "--output=~other/a.csv"),
        ("x = ~/a", "x = ~/a"),
    ],
)
def test_the_home_folder_is_meant_where_no_shell_says_so(
    monkeypatch: pytest.MonkeyPatch, word: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert command_line.with_home(word) == meant
