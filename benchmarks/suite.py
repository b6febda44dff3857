"""What a benchmark is to the command that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from rich.console import Console

from benchmarks.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be chosen for a run; a benchmark takes those that its defaults name.

    Attributes:
        rows: of each run, or of the larger one where there are two sizes.
        repeats: runs of each side.
        seconds: of each run, where a run has a length and not a number of rows.
        peers: names of other packages to compare with.
    """

    rows: int = 0
    repeats: int = 0
    seconds: int = 0
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: on the command line, and of its file of results.
        purpose: what it shows, in a line.
        run: measures.
        defaults: of its options.
        minutes: that it takes with them on two cores, about.
    """

    name: str
    purpose: str
    run: Callable[[Options, Console], Report]
    defaults: Options
    minutes: float

    @property
    def takes(self) -> set[str]:
        """The options that mean something to it."""
        return {field.name for field in fields(Options) if getattr(self.defaults, field.name)}

    def options(self, given: dict[str, object]) -> Options:
        """Its defaults with what was given of the options that it takes."""
        chosen = {name: value for name, value in given.items() if name in self.takes}
        return replace(self.defaults, **chosen)  # type: ignore[arg-type]
