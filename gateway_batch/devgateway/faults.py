"""What goes wrong on purpose: picks the rule of a fault script that applies to a request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from gateway_batch.devgateway.patterns import is_found
from gateway_batch.devgateway.settings import Fault


@dataclass(slots=True)
class Script:
    """An ordered list of rules and how often each has fired."""

    rules: tuple[Fault, ...]
    _fired: Counter[int] = field(default_factory=Counter)

    def pick(self, prompt: str, seen: int) -> Fault | None:
        """The first rule that applies, None if none does.

        Args:
            prompt: of the request.
            seen: how many requests with this prompt came before.
        """
        for number, rule in enumerate(self.rules):
            if self._applies(number, rule, prompt, seen):
                self._fired[number] += 1
                return rule
        return None

    def _applies(self, number: int, rule: Fault, prompt: str, seen: int) -> bool:
        return (
            (rule.times is None or self._fired[number] < rule.times)
            and (rule.times_per_prompt is None or seen < rule.times_per_prompt)
            and (rule.match is None or is_found(rule.match, prompt))
            and (rule.share is None or _chance(number, prompt, seen) < rule.share)
        )

    def reset(self) -> None:
        """Forgets what has fired."""
        self._fired.clear()


def _chance(number: int, prompt: str, seen: int) -> float:
    digest = blake2b(f"{number}:{seen}:{prompt}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
