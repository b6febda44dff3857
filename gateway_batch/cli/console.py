"""Where the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

from rich.console import Console

output = Console(soft_wrap=False)
errors = Console(stderr=True, soft_wrap=True)
