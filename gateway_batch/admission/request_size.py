"""How much a request will take, learned from those before it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_batch.admission.amount import Amount
from gateway_batch.types import Price, TokenUsage

_BYTES_A_TOKEN = 4.0
_FIRST_OUTPUT = 256.0
_WEIGHT = 0.1
_MOST_TIMES_USUAL = 8.0  # what one answer teaches: an odd one makes the next ones no ten times larger


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of a request before it is answered.

    Attributes:
        body_bytes: of its body.
        most_output: tokens that its answer may have at most; None where it doesn't say.
        price: of its service; None is free.
    """

    body_bytes: int
    most_output: int | None
    price: Price | None


class Estimator:
    """Of one service: tokens a byte of request, and tokens of an answer, as they were lately on average."""

    def __init__(self) -> None:
        self._input_a_byte = 1 / _BYTES_A_TOKEN
        self._output = _FIRST_OUTPUT
        self._has_learned = False

    def estimate(self, size: Size) -> Amount:
        """What a request will take."""
        output = self._output
        if size.most_output is not None:
            output = min(output, size.most_output)
        input_tokens = self._input_a_byte * size.body_bytes
        cost_usd = 0.0 if size.price is None else (input_tokens * size.price.input + output * size.price.output) / 1e6
        return Amount(1, input_tokens + output, cost_usd)

    def settle(self, size: Size, usage: TokenUsage) -> Amount:
        """What an answered request took, and learns from it."""
        cost_usd = 0.0 if size.price is None else size.price.cost_usd(usage)
        if usage.total_tokens is None:
            return Amount(1, 0, cost_usd)
        output = usage.output_tokens or 0
        input_tokens = usage.total_tokens - output
        self._input_a_byte += _WEIGHT * _more(input_tokens / max(1, size.body_bytes), self._input_a_byte)
        self._output += (_WEIGHT if self._has_learned else 1.0) * _more(output, self._output)
        self._has_learned = True
        return Amount(1, usage.total_tokens, cost_usd)


def _more(found: float, usual: float) -> float:
    """How much more than usual was found, as far as one answer is believed."""
    return min(found, _MOST_TIMES_USUAL * max(1 / _BYTES_A_TOKEN, usual)) - usual
