"""Writes docs/images/terminal.svg: three commands and what they print, against a development gateway of their own."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from rich.text import Text

from gateway_batch.cli.console import output
from gateway_batch.cli.main import main

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "terminal.svg"
WIDTH = 104
QUERY = """
  SELECT product, ai_query('databricks-gpt-5-4', 'Summarize: ' || review) AS summary
  FROM VALUES ('kettle', 'Boils in two minutes and pours well. The lid is loose, though.'),
              ('lamp', 'A warm light, easy to set up, and lovely on the desk. I would buy it again.'),
              ('tent', 'Kept us dry through two nights of rain. The poles are heavy.')
  AS reviews(product, review)"""
COMMANDS = (
    f'sql "{QUERY}"',
    "usage --by model",
    "reconcile spark-warehouse/_gateway_batch/devgateway.sqlite",
)
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def write() -> None:
    """Runs the commands in a folder of their own, and draws what a terminal would show."""
    output.record, output.width = True, WIDTH
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for words in COMMANDS:
            output.print(Text.assemble(("$ ", "green"), (f"gateway-batch {words}", "bold")))
            with patch.object(sys, "argv", ["gateway-batch", *shlex.split(words)]):
                _run()
    svg = output.export_svg(title="gateway-batch", unique_id="terminal")
    PICTURE.write_text(_FONT.sub("", svg).replace("Fira Code", "ui-monospace, DejaVu Sans Mono"), encoding="utf-8")


def _run() -> None:
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    write()
