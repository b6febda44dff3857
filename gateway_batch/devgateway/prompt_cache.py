"""Which marked prefixes of prompts are cached, as Anthropic caches them: from 1,024 tokens on, for five minutes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import replace

from gateway_batch.devgateway.ask import Answer, Ask
from gateway_batch.devgateway.models.tokens import input_tokens

_FEWEST_TOKENS = 1024
_KEPT_S = 300.0
_MOST = 10_000


class PromptCache:
    """Of all services. Prefixes are known by their hashes."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def counted(self, service: str, ask: Ask, said: Answer, now: float) -> Answer:
        """An answer whose tokens say which part of the request was read from the cache, or written to it.

        Args:
            service: that was asked.
            ask: the request.
            said: its answer.
            now: seconds of a monotonic clock.
        """
        if not ask.cached_turns:
            return said
        prefix = ask.turns[: ask.cached_turns]
        tokens = min(said.tokens.input_tokens, input_tokens(replace(ask, turns=prefix, images=0)))
        if tokens < _FEWEST_TOKENS:
            return said
        key = hashlib.blake2b(repr((service, ask.tools, prefix)).encode("utf-8", "surrogatepass")).digest()
        is_there = self._until.pop(key, 0.0) > now
        self._until[key] = now + _KEPT_S
        if len(self._until) > _MOST:
            self._until.popitem(last=False)
        part = {"cache_read_tokens": tokens} if is_there else {"cache_creation_tokens": tokens}
        return replace(said, tokens=replace(said.tokens, **part))
