"""What becomes of rows and lines of a file that can't be read: the first is an error, or they are left out."""

from __future__ import annotations

from enum import StrEnum

from gateway_batch.errors import ConfigError


class BadInput(StrEnum):
    """What is done about them."""

    FAIL = "fail"
    SKIP = "skip"


class Faults:
    """The rows and lines that can't be read.

    Args:
        skip: whether they are left out.

    Attributes:
        count: how many were left out.
        first: what is wrong with the first of these, with its file and place.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self.count = 0
        self.first: str | None = None

    def meet(self, fault: str) -> None:
        """Takes one.

        Args:
            fault: its file and place, and what is wrong, without its text.

        Raises:
            ConfigError: they are not left out.
        """
        if not self.skip:
            raise ConfigError(f"{fault}: mend it, or leave such rows out (bad input: {BadInput.SKIP})")
        self.count += 1
        self.first = self.first or fault

    def __str__(self) -> str:
        rows = "1 row that can't be read was" if self.count == 1 else f"{self.count:,} rows that can't be read were"
        return f"{rows} left out, the first: {self.first}"


def faults_for(bad_input: str) -> Faults:
    """What takes the faults of a job's files.

    Raises:
        ConfigError: `bad_input` is neither `fail` nor `skip`.
    """
    if bad_input not in list(BadInput):
        raise ConfigError(f"bad_input: {bad_input!r} is neither {BadInput.FAIL} nor {BadInput.SKIP}")
    return Faults(skip=bad_input == BadInput.SKIP)
