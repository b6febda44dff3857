"""The table of model parameters: what each is called, and where it goes, in every chat format. Data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """A chat format's way to say parameters."""

    CHAT = "chat completions"
    RESPONSES = "Responses"
    MESSAGES = "Messages"
    GEMINI = "generateContent"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter and its place in the body of each format.

    Attributes:
        names: what callers may call it; a dot leads into an object.
        chat, responses, messages, gemini: the path in the body; None: the format has no such parameter.
        hint: what to do where it has none.
    """

    names: tuple[str, ...]
    chat: str | None
    responses: str | None = None
    messages: str | None = None
    gemini: str | None = None
    hint: str = "Leave it out, or choose a format that has it"

    @property
    def name(self) -> str:
        """The name that errors and the documentation use."""
        return self.names[0]

    def path(self, dialect: Dialect) -> str | None:
        """Its place in a format's body."""
        return {
            Dialect.CHAT: self.chat,
            Dialect.RESPONSES: self.responses,
            Dialect.MESSAGES: self.messages,
            Dialect.GEMINI: self.gemini,
        }[dialect]


TABLE = (
    Parameter(
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"),
        "max_tokens",
        "max_output_tokens",
        "max_tokens",
        "generationConfig.maxOutputTokens",
    ),
    Parameter(
        ("stop", "stop_sequences", "stopSequences"),
        "stop",
        None,
        "stop_sequences",
        "generationConfig.stopSequences",
        "Responses have no stop sequences: use api chat completions",
    ),
    Parameter(("temperature",), "temperature", "temperature", "temperature", "generationConfig.temperature"),
    Parameter(("top_p", "topP"), "top_p", "top_p", "top_p", "generationConfig.topP"),
    Parameter(("top_k", "topK"), "top_k", None, "top_k", "generationConfig.topK"),
    Parameter(("seed",), "seed", None, None, "generationConfig.seed"),
    Parameter(
        (
            "reasoning_effort",
            "reasoning.effort",
            "output_config.effort",
            "thinkingConfig.thinkingLevel",
            "thinking_config.thinking_level",
        ),
        "reasoning_effort",
        "reasoning.effort",
        "output_config.effort",
        "generationConfig.thinkingConfig.thinkingLevel",
    ),
    Parameter(
        ("thinking.budget_tokens", "thinkingConfig.thinkingBudget", "thinking_config.thinking_budget"),
        "thinking.budget_tokens",
        None,
        "thinking.budget_tokens",
        "generationConfig.thinkingConfig.thinkingBudget",
        "Use reasoning_effort",
    ),
    Parameter(
        ("thinkingConfig.includeThoughts", "thinking_config.include_thoughts"),
        None,
        None,
        None,
        "generationConfig.thinkingConfig.includeThoughts",
    ),
    Parameter(
        ("verbosity", "text.verbosity"),
        "verbosity",
        "text.verbosity",
        hint="Ask for the length in the prompt",
    ),
    Parameter(("service_tier", "serviceTier"), "service_tier", "service_tier", "service_tier", "serviceTier"),
    Parameter(
        ("presence_penalty", "presencePenalty"), "presence_penalty", None, None, "generationConfig.presencePenalty"
    ),
    Parameter(
        ("frequency_penalty", "frequencyPenalty"), "frequency_penalty", None, None, "generationConfig.frequencyPenalty"
    ),
    Parameter(
        ("logprobs", "responseLogprobs", "response_logprobs"),
        "logprobs",
        None,
        None,
        "generationConfig.responseLogprobs",
        "Responses take top_logprobs",
    ),
    Parameter(("top_logprobs",), "top_logprobs", "top_logprobs", None, "generationConfig.logprobs"),
    Parameter(("logit_bias",), "logit_bias"),
    Parameter(("n",), "n", hint="A call has one answer: ask in several rows"),
    Parameter(("user",), "user", "user", "metadata.user_id", hint="Use request tags"),
    Parameter(
        ("safety_identifier",), "safety_identifier", "safety_identifier", "metadata.user_id", hint="Use request tags"
    ),
    Parameter(("metadata",), "metadata", "metadata", "metadata", hint="Use labels"),
    Parameter(("parallel_tool_calls",), "parallel_tool_calls", "parallel_tool_calls"),
    Parameter(("tool_choice",), "tool_choice", "tool_choice", "tool_choice", hint="Use toolConfig"),
    Parameter(("safetySettings", "safety_settings"), None, gemini="safetySettings"),
    Parameter(("labels",), None, gemini="labels", hint="Use metadata, or request tags"),
    Parameter(("cachedContent", "cached_content"), None, gemini="cachedContent"),
    Parameter(("toolConfig", "tool_config"), None, gemini="toolConfig", hint="Use tool_choice"),
    Parameter(
        ("cache_control",),
        "cache_control",
        messages="cache_control",
        hint="The service keeps the begin of long prompts by itself: leave it out",
    ),
    Parameter(("tools",), "tools", "tools", "tools", "tools"),
    Parameter(("store",), "store", "store", None, "store"),
    Parameter(
        ("response_format", "responseFormat"),
        "response_format",
        hint="Give the call's own responseFormat (gb.Client: response_format)",
    ),
)
