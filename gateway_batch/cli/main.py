"""The commands, and what they have in common: exit codes, errors without tracebacks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway_batch.cli.config import config
from gateway_batch.cli.console import errors, styled
from gateway_batch.cli.dashboard import dashboard
from gateway_batch.cli.demo import demo
from gateway_batch.cli.estimate import estimate
from gateway_batch.cli.reconcile import reconcile
from gateway_batch.cli.run import run
from gateway_batch.cli.serve import serve
from gateway_batch.cli.sql import sql
from gateway_batch.cli.usage import app as usage
from gateway_batch.cli.views import app as views
from gateway_batch.errors import GatewayBatchError
from gateway_batch.version import __version__

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

# Typer names its wrong-parameter error only; that one's base is what an unknown command or option raises too.
_UsageError: Any = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="gateway-batch",
    help="Databricks' ai_query for any Spark session, every request in a usage ledger.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, serve, sql, run, estimate, reconcile, dashboard, config):
    app.command()(command)
app.add_typer(usage, name="usage")
app.add_typer(views, name="views")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Runs a command: exit code 0, 1 for a failure, 2 for wrong usage, 130 if it was interrupted."""
    try:
        code = app(args=[with_home(word) for word in sys.argv[1:]], standalone_mode=False)
    except _UsageError as error:
        error.show()
        sys.exit(USAGE)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:
        message = _one_line(error)
        if message is None:
            raise
        errors.print(styled("[bold red]error[/]"), message)
        sys.exit(FAILURE)
    if code == INTERRUPTED:  # which Typer makes of Ctrl-C
        errors.print("interrupted; what was recorded is kept", style="yellow")
    if isinstance(code, int) and code != 0:  # a Databricks task fails by any SystemExit, of 0 too
        sys.exit(code)


def with_home(word: str) -> str:
    """A word of the command line, the home folder for `~`, which shells leave behind `--output=` or `NAME=`."""
    start = re.match(r"(?:--[\w-]+=)?(?:\w+=)?(?=~/)", word)
    return word if start is None else start[0] + str(Path(word[start.end() :]).expanduser())


def _one_line(error: Exception) -> str | None:
    """What is wrong, for an error that isn't a fault of ours; None for one that is."""
    if isinstance(error, GatewayBatchError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if type(error).__module__.startswith("pyspark.errors"):
        from gateway_batch.spark.session.messages import first_line

        return first_line(error)
    return None
