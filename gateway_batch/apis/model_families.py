"""What a model's name says of its family, as far as requests depend on it. Pure."""

from __future__ import annotations

import re

_CLAUDE = re.compile(r"claude-(?:(?P<kind>opus|sonnet|haiku)-)?(?P<major>\d)(?:[.-](?P<minor>\d{1,2}))?(?!\d)")
_CLAUDE_3 = re.compile(r"claude-3(?:[.-](?P<minor>\d))?-(?:opus|sonnet|haiku)")
_GEMINI = re.compile(r"gemini-(\d+)")
_REASONING = re.compile(r"(?:^|[/_-])(?:o[1-9]\d*|gpt-(?!35)(?:[5-9]|[1-9]\d))(?![\d])")
_THINKERS = re.compile(
    r"gpt-oss|qwen-?3|qwq|deepseek-(?:r1|reason|v[3-9])|magistral|glm-|grok|kimi"
    r"|minimax|nemotron|think|reason|claude-(?:mythos|fable)|-r1\b",
    re.I,
)
_NO_LOGPROBS = re.compile(r"claude|gemini", re.I)
_THINKING_GEMINI = re.compile(r"gemini-(?:2[.-]5|[3-9]|flash|pro)")
# By the first version that has it, the newest first.
_CEILINGS = {
    "opus": (((4, 6), 128_000), ((4, 5), 64_000), ((4, 0), 32_000)),
    "sonnet": (((5, 0), 128_000), ((4, 0), 64_000)),
    "haiku": (((4, 5), 64_000),),
}
_CEILINGS_OF_3 = {7: 64_000, 5: 8192, 0: 4096}


def output_ceiling(model: str) -> int | None:
    """The most tokens that a Claude model answers with, thinking included; None for one that is not known."""
    if found := _CLAUDE_3.search(model):
        return _CEILINGS_OF_3.get(int(found["minor"] or 0))
    kind, version = _claude(model)
    return next((most for since, most in _CEILINGS.get(kind, ()) if version >= since), None)


def has_output_effort(model: str) -> bool:
    """Whether a Claude model takes `output_config.effort`; an unknown name is taken for a new model."""
    kind, version = _claude(model)
    if _CLAUDE_3.search(model):
        return False
    first = {"opus": (4, 5), "sonnet": (4, 6)}.get(kind, (5, 0))
    return not version[0] or version >= first


def has_thinking_levels(model: str) -> bool:
    """Whether a Gemini model takes `thinkingLevel`, as all from 3 on, and no budget; so do aliases without a number."""
    found = _GEMINI.search(model)
    return found is None or int(found[1]) >= 3


def wants_completion_tokens(model: str) -> bool:
    """Whether OpenAI's model takes `max_completion_tokens` only: the o-series, and GPT from 5 on."""
    return _REASONING.search(model) is not None


def gives_logprobs(model: str) -> bool:
    """Whether chat completions may give a model's log-probabilities: not OpenAI's that think, Claude and Gemini."""
    return not wants_completion_tokens(model) and _NO_LOGPROBS.search(model) is None


def _claude(model: str) -> tuple[str, tuple[int, int]]:
    found = _CLAUDE.search(model)
    if found is None or found["kind"] is None:
        return "", (0, 0)
    return found["kind"], (int(found["major"]), int(found["minor"] or 0))


def may_reason(model: str) -> bool:
    """Whether a model may think before it answers, without being asked to, in tokens of the answer."""
    return thinks_at_its_vendor(model) or _THINKERS.search(model) is not None


def thinks_at_its_vendor(model: str) -> bool:
    """Whether it is one of OpenAI's or Google's own models that think."""
    return wants_completion_tokens(model) or _THINKING_GEMINI.search(model) is not None
