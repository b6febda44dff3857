"""The part of the site that mkdocs.yml can't say: root pages, decisions in the menu, the Python reference.

Links are written for a code host, where `docs/` is a folder of the repository. A link that leaves it works on the site
if its target is one of `ROOT_PAGES`; any other fails the strict build.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))

from write_reference import GROUPS, OURS  # noqa: E402

ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LISTED = {"Notebooks": "notebooks", "Decisions": "decisions"}
PYTHON = "python.md"
_LINK = re.compile(r"\[([^]\[]+)\]\(([\w./-]+\.md)(#[\w.-]+)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages of these folders in the menu, behind those that it has."""
    assert config.nav is not None
    for name, folder in LISTED.items():
        (entries,) = (entry[name] for entry in config.nav if name in entry)
        pages = sorted(f"{folder}/{page.name}" for page in Path(config.docs_dir, folder).glob("*.md"))
        entries += [page for page in pages if page not in entries]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the repository's root."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them, by titles and not by files' names; the Python reference made from the docstrings."""
    source = page.file.src_uri
    if source == PYTHON:
        return python()
    folder = posixpath.dirname(source if source in ROOT_PAGES else f"docs/{source}")

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[2]))
        here = target if target in ROOT_PAGES else target.removeprefix("docs/")
        text = _title(ROOT / target) if posixpath.basename(found[1]) == posixpath.basename(target) else found[1]
        return f"[{text}]({posixpath.relpath(here, posixpath.dirname(source) or '.')}{found[3] or ''})"

    return _LINK.sub(link, markdown)


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if page.is_file() else page.name


def python() -> str:
    """The page of the public names, of the groups that the page for code hosts has."""
    package = griffe.load("gateway_batch", search_paths=[ROOT])
    parts = ["# Python", "`import gateway_batch as gb` imports no Spark; names are loaded when first used."]
    for group, names in GROUPS.items():
        parts.append(f"## {group}")
        parts += [_directive(name, package[name]) for name in names]
    return "\n\n".join(parts) + "\n"


def _directive(name: str, thing: griffe.Object | griffe.Alias) -> str:
    """A name with its public members, in their order; without those that only the package calls."""
    shown = thing.exports or [
        member.name
        for member in (thing.all_members if thing.is_class else thing.members).values()
        if (member.is_function or member.has_docstring)
        and member.is_public
        and not member.is_special
        and f"{name}.{member.name}" not in OURS
    ]
    members = [str(each) for each in shown]
    inherited = [each for each in members if each not in thing.members]
    options = {"members": members, "inherited_members": inherited}
    return f"::: gateway_batch.{name}\n    options: {json.dumps(options)}"
