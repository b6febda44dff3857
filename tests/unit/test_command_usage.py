"""The commands' help, and how they say what they were given wrong."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway_batch.cli import usage
from gateway_batch.config import GatewayConfig
from gateway_batch.errors import LedgerError
from gateway_batch.spark import gateway
from gateway_batch.spark.analytics import views
from gateway_batch.usage import spool_backlog
from gateway_batch.usage.shipping import local_folder_for
from tests.unit.command import command, every_command

RUN = ("run", "--source", "x", "--key", "id", "--output", "y", "--endpoint", "e", "--prompt", "{id}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.csv").touch()
    Path("folder.csv").mkdir()
    Path("views").mkdir()
    Path("views/00_prices.sql").write_text("DELETE FROM prices;")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("sql", "SELECT 1", "--input", "x"), 2, "is not NAME=PATH"),
        (("sql", "SELECT 1", "--gateway", "moon"), 2, "one of auto, env, dev"),
        (("demo", "--rows", "0"), 2, "--rows"),
        (("demo", "--input", "nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("usage", "--warehouse", "nowhere"), 1, "no such folder: nowhere"),
        (("run", "--source", "x", "--key", "id", "--output", "y"), 2, "--endpoint"),
        ((*RUN, "--model-parameters", "[1]"), 2, "is no JSON object"),
        ((*RUN, "--gateway", "moon"), 2, "one of auto, env, dev"),
        ((*RUN, "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("nonsense",), 2, "No such command"),
        (("serve", "--port", "99999"), 2, "--port"),
        (("serve", "--host", "0.0.0.0"), 1, "without a token"),
        (("serve", "--services", "nowhere.json"), 1, "cannot read services"),
        (("serve", "--ledger", "file.csv/ledger.sqlite"), 1, "cannot keep the usage ledger in file.csv/ledger.sqlite"),
        (("demo", "--dir", "file.csv/demo"), 1, "file.csv/demo: Not a directory"),
        (("views", "render", "--output", "file.csv/views"), 1, "Not a directory"),
        (("views", "render", "--output", "views"), 1, "views/00_prices.sql is not of gateway_batch's making"),
        (
            ("sql", "SELECT 1", "--input", "x=file.csv", "--output", "./file.csv"),
            1,
            "is the same as the input file.csv",
        ),
        (("sql", "SELECT 1", "--input", "x=file.csv", "--output", "."), 1, "is a folder around the input file.csv"),
        (("sql", "SELECT 1", "--output", "file.csv"), 1, "file.csv is there, and this command did not make it"),
        (("sql", "SELECT 1", "--output", "folder.csv"), 1, "folder.csv is a folder: name a file"),
        (("sql", "SELECT 1", "--output", "file.csv/x.json"), 1, "file.csv/x.json can't be written: "),
        (("sql", "SELECT 1", "--output", "views"), 1, "views is there, and this command did not make it"),
        ((*RUN, "--warehouse", "file.csv/warehouse"), 1, "file.csv/warehouse"),
        (("sql", "SELECT 1", "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("estimate", "--sql", "SELECT 1", "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("estimate", "--sql", "SELECT 1", "--key", "title"), 2, "cannot be combined with batch-job options"),
        (("estimate", "--key", "title"), 2, "--source, --key, --output and --endpoint"),
        *(
            ((*words.split(), "--warehouse", "nowhere"), 1, "no such folder: nowhere")
            for words in (
                "reconcile x.sqlite",
                "dashboard --output x.html",
                "usage flush",
                "usage maintain",
                "usage refresh",
                "usage import x.sqlite",
                "views deploy",
            )
        ),
    ],
)
def test_wrong_use_is_said_in_one_line(arguments: tuple[str, ...], code: int, says: str) -> None:
    done = command(*arguments)
    assert done.returncode == code, done.stderr
    assert says in " ".join(done.stderr.replace("│", "").split())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", list(every_command()))
def test_help_has_an_example(words: str) -> None:
    done = command(*words.split(), "--help")
    assert done.returncode == 0
    assert f"Example: gateway-batch {words}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("words", list(every_command()))
def test_an_unknown_option_is_wrong_use(words: str) -> None:
    done = command(*words.split(), "--nonsense")
    assert done.returncode == 2
    assert "No such option: --nonsense" in done.stderr
    assert done.stdout == ""


def test_the_report_is_printed_also_where_the_spool_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object) -> None:
        raise LedgerError("what waits in /spool can't be read: Permission denied")

    monkeypatch.setattr(spool_backlog, "backlog_of", refuse)
    usage._tell_waiting(GatewayConfig.from_env(), Path(), lambda _: None)
    assert "what waits in /spool can't be read: Permission denied" in capsys.readouterr().err


def test_a_flush_of_the_command_knows_this_hosts_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace(conf=SimpleNamespace(get=lambda _: f"file:{tmp_path}/warehouse"))
    given: list[object] = []
    monkeypatch.setattr(views, "session_for", lambda _: contextlib.nullcontext((session, None)))
    monkeypatch.setattr(gateway, "Usage", lambda *args, local_dir, **named: given.extend((args[2], local_dir)))
    monkeypatch.setenv("GATEWAY_BATCH_SPOOL_LOCAL_DIR", str(tmp_path / "local"))
    with usage.ledger_in(tmp_path / "warehouse", None):
        pass
    spool_dir = tmp_path / "warehouse" / "_gateway_batch" / "spool"
    assert given == [spool_dir, local_folder_for(spool_dir, str(tmp_path / "local"))]
