"""Writes docs/command-line.md and docs/python.md from the code. `--check` only compares them."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import griffe

import gateway_batch

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = "Written by `scripts/write_reference.py` from the code."
CALL_OPTIONS = [
    "engine.call_options.QueryOptions", "engine.call_options.CallOptions", "engine.call_options.Progress",
]  # fmt: skip
PANDAS = ["pandas.AiAccessor", "pandas.configure", "pandas.shared_client"]
GROUPS = {
    "In a Spark session": ["register_ai_query", "Gateway", "Savings", "Counts", "Usage", "Maintained", "local_session"],
    "Columns": ["functions"],
    "Without Spark": ["Client", *CALL_OPTIONS, "Answer", "TokenUsage", "File", "ResponseFormat"],
    "In pandas": PANDAS,
    "Batch jobs and estimates": [
        "BatchJob", "run_batch", "BatchReport", "Status", "estimate_batch", "estimate_query", "Estimate", "Interval",
        "CallEstimate",
    ],
    "Usage": ["usage_frame", "create_views", "refresh_usage", "Refreshed", "write_dashboard"],
    "Settings": ["GatewayConfig", "EndpointConfig"],
    "Errors": [
        "GatewayBatchError", "AiFunctionError", "ConfigError", "CallError", "ErrorKind", "MalformedError",
        "RejectedError", "UnreachableError", "LedgerError",
    ],
}  # fmt: skip
UNDESCRIBED = {"__version__"}
OURS = {
    "Gateway.column", "GatewayConfig.settings_customise_sources", "GatewayConfig.tokens", "GatewayConfig.credentials",
    "GatewayConfig.credential_of", "GatewayConfig.coordination_reference", "BatchJob.inputs", "Interval.plus",
}  # fmt: skip
"""Methods that other modules of the package call, and nobody else."""
OPTIONS = {"returns_multiple_items": False}
WIDTH = 116
SECTIONS = {"parameters": "Takes", "attributes": "Has", "raises": "Raises", "returns": "Returns"}


def command_line() -> str:
    """The page of the commands."""
    command = [sys.executable, "-m", "typer", "gateway_batch.cli.main", "utils", "docs", "--name", "gateway-batch"]
    written = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    body = html.unescape(written).partition("## ")[1:]
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n?", "", "".join(body))
    text = re.sub(r"^(Example: )((?:.+\n)+)", _example, text, flags=re.MULTILINE)
    introduction = (
        f"# Commands\n\n{WRITTEN}\n\n"
        "Exit codes: 0, 1 for a failure or a condition that holds, 2 for wrong usage, 130 after Ctrl-C. Results go to\n"
        "standard output, all else to standard error.\n\n"
    )
    return introduction + text.replace("console\n$ ", "console\n").rstrip() + "\n"


def _example(found: re.Match[str]) -> str:
    return "Example:\n\n```bash\n" + found[2].rstrip().replace("\n", " \\\n  ") + "\n```\n"


def python() -> str:
    """The page of the public names."""
    named = {name for names in GROUPS.values() for name in names}
    public = set(gateway_batch.__all__) - UNDESCRIBED
    assert {name for name in named if "." not in name} == public, named ^ public
    package = griffe.load("gateway_batch", search_paths=[ROOT], docstring_parser="google", docstring_options=OPTIONS)
    parts = [f"# Python\n\n{WRITTEN} `import gateway_batch as gb` imports no Spark; names are loaded when first used."]
    for group, names in GROUPS.items():
        parts.append(f"## {group}")
        for name in names:
            found = package[name]
            parts += _described(found.final_target if isinstance(found, griffe.Alias) else found)
    return "\n\n".join(parts) + "\n"


def _described(thing: griffe.Object) -> list[str]:
    if isinstance(thing, griffe.Module):
        return [_text(thing), *(part for name in thing.exports or [] for part in _described(thing[str(name)]))]
    parts = [f"### `{thing.name}`"]
    if isinstance(thing, griffe.Function):
        parts.append(_signature(thing.signature()))
    elif isinstance(thing, griffe.Class) and "__init__" in thing.members and thing.parameters:
        parts.append(_signature(str(thing.signature())))
    parts += _sections(thing)
    if isinstance(thing, griffe.Class):
        for member in _members(thing):
            if isinstance(member, griffe.Function) and member.is_public and not member.is_special:
                name = f"{thing.name}.{member.name}"
                if name not in OURS:
                    parts += [f"#### `{name}`", _signature(member.signature()), *_sections(member)]
    return parts


def _members(thing: griffe.Class) -> Iterator[griffe.Object]:
    """Those of its bases in the package first."""
    for owner in (*thing.mro(), thing):
        yield from (member for member in owner.members.values() if isinstance(member, griffe.Object))


def _signature(text: str) -> str:
    text = text.replace("(self, ", "(").replace("(self)", "()")
    return (
        "```text\n" + "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)) + "\n```"
    )


def _text(thing: griffe.Object) -> str:
    assert thing.docstring is not None, thing.path
    return str(thing.docstring.parsed[0].value)


def _sections(thing: griffe.Object) -> list[str]:
    if thing.docstring is None:
        return []
    parts = []
    for section in thing.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionText):
            parts.append(section.value)
        elif section.kind.value in SECTIONS:
            parts.append(f"{SECTIONS[section.kind.value]}:\n\n" + "\n".join(map(_item, section.value)))
    return parts


def _item(element: griffe.DocstringElement) -> str:
    text = " ".join(element.description.split())
    if isinstance(element, griffe.DocstringReturn):
        return f"- {text}"
    name = getattr(element, "name", "") or str(element.annotation)
    if name.endswith(","):  # two names of one text: the second is read as an annotation
        name += f" {element.annotation}".replace("(", "").replace(")", "")
    return f"- `{name}`: {text}"


PAGES = {DOCS / "command-line.md": command_line, DOCS / "python.md": python}

if __name__ == "__main__":
    for page, write in PAGES.items():
        if "--check" not in sys.argv:
            page.write_text(write(), encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != write():
            sys.exit(f"{page.name} is out of date: run {sys.argv[0]}")
