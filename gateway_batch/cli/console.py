"""Where the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


class _Literal(Console):
    """Prints texts as they are: answers, names and paths have no markup, no emoji, and give a terminal no orders."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A text for the terminal."""
        return super().render_str(text.translate(_CONTROLS), **options)


def styled(markup: str) -> Text:
    """A text of the command's own, with rich's markup; nothing from outside may be in it."""
    return Text.from_markup(markup)


output = _Literal(soft_wrap=False, markup=False, emoji=False)
errors = _Literal(stderr=True, soft_wrap=True, markup=False, emoji=False)
