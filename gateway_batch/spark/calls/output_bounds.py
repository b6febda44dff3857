"""How many tokens a task function's answer may take: a model that does not stop is cut. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_batch.apis.model_families import may_reason, thinks_at_its_vendor

_THOUGHTS = 16_384
_MOST = 4096
"""Above it nothing is said: a model may refuse a limit that is more than its own, or than its context has left."""


@dataclass(frozen=True, slots=True)
class OutputBound:
    """The most tokens of an answer.

    Attributes:
        base: tokens of any answer: its JSON, and what does not depend on the text.
        per_character: tokens for each character of the text.
    """

    base: int
    per_character: float = 0.0

    def tokens(self, characters: int, model: str) -> int | None:
        """For a text of so many characters; None: the model's own limit.

        Thoughts count, too: models that only their vendors serve get room for them, other models that think no bound.
        """
        answer = self.base + round(self.per_character * characters)
        if answer > _MOST:
            return None
        if thinks_at_its_vendor(model):
            return answer + _THOUGHTS
        return None if may_reason(model) else answer
