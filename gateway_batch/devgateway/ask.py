"""What one request asks of a model and what the model gives back, whatever the wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonObject = dict[str, Any]
JsonSchema = Mapping[str, Any]


class Kind(StrEnum):
    """What a model service does."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    SCORING = "scoring"


class Finish(StrEnum):
    """Why an answer ended; each wire format has its own words for these."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, one input to embed, or one record to score as JSON.

    Attributes:
        tokens: how many it was sent as, if it was sent as tokens.
    """

    role: str
    text: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to a model.

    Attributes:
        images: how many image parts the turns carry; they count as tokens and are not looked at.
        cached_turns: how many of the turns, from the first, the caller marked as a prefix to be cached.
        schema: what the answer has to validate against; None for free text.
        tools: the definitions of all tools, as JSON; they count as tokens.
        tool: the tool that has to be called, by name: the answer is its arguments. None for an answer of one's own.
        tool_named: whether the caller named that tool, rather than leave the choice.
        count_only: whether only the tokens of the request are wanted.
        sampling: `temperature`, `top_p` and `seed`, as far as they were given; the stand-ins don't sample.
        logprobs: whether the answer comes with its tokens' log-probabilities (chat completions only, no stream).
        include_usage: whether a stream ends with its token counts (chat completions only).
        sse: whether a stream is server-sent events or one JSON array (Gemini only).
        dimensions, base64: of embeddings.
    """

    model: str
    turns: tuple[Turn, ...]
    images: int = 0
    cached_turns: int = 0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: JsonSchema | None = None
    tools: str = ""
    tool: str | None = None
    tool_named: bool = False
    count_only: bool = False
    sampling: Mapping[str, float] = field(default_factory=dict)
    stream: bool = False
    logprobs: bool = False
    include_usage: bool = False
    sse: bool = True
    dimensions: int | None = None
    base64: bool = False

    @property
    def prompt(self) -> str:
        """All that was said, for matching and for counting distinct prompts."""
        if len(self.turns) == 1:
            return self.turns[0].text
        return "\n".join(turn.text for turn in self.turns)

    @property
    def question(self) -> str:
        """The last thing the user said."""
        spoken = (turn.text for turn in reversed(self.turns) if turn.role == "user" and turn.text.strip())
        return next(spoken, self.prompt)

    @property
    def instructions(self) -> str:
        """What the system turns said."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "system")


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one answered request.

    Attributes:
        input_tokens: all of them.
        output_tokens: all of them.
        cache_read_tokens, cache_creation_tokens: those of the input that the prompt cache had, or has now.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


NO_TOKENS = TokenCounts(0, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Attributes:
        stopped_by: the stop sequence that ended it, if one did.
        vectors: one per turn, for embeddings only.
        scores: one per turn, for scoring only.
    """

    text: str
    finish: Finish
    tokens: TokenCounts
    stopped_by: str | None = None
    vectors: tuple[list[float], ...] = ()
    scores: tuple[float, ...] = ()


DENIED = Answer("", Finish.CONTENT_FILTER, NO_TOKENS)
