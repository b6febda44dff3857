"""A real Chromium for tests of pages, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

_OWN = Path(__file__).parent.parent / ".tools" / "browser" / "chromium"
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@dataclass
class Opened:
    """A page of a file, and what went wrong in it.

    Attributes:
        page: Playwright's.
        complaints: what was written to the console or thrown, and each request for anything but the file.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser: the one of scripts/browser.sh, else one on PATH."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_binary(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, file: Path, address: str = "", **context: Any) -> Iterator[Opened]:
    """A file in a window of its own, drawn.

    Args:
        browser: it.
        file: an HTML file that says `data-ready` on its root when it is drawn.
        address: what follows the file's name, from the # on.
        context: as `Browser.new_context` takes it.
    """
    window = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    found = Opened(window.new_page())
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(f"thrown: {error}"))
    found.page.on("request", lambda request: _note(found, request.url, file))
    try:
        found.page.goto(f"{file.as_uri()}{address}")
        drawn(found.page)
        yield found
    finally:
        window.close()


def drawn(page: Page) -> None:
    """Waits until the page has drawn what it shows."""
    page.wait_for_selector("html[data-ready]", timeout=30_000)


def _note(found: Opened, url: str, file: Path) -> None:
    if not url.startswith((file.as_uri(), "data:", "blob:")):
        found.complaints.append(f"request: {url}")


def _binary() -> str:
    if _OWN.exists():
        return str(_OWN)
    on_path = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert on_path, "no Chromium: scripts/browser.sh fetches one"
    return on_path
