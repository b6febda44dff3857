"""The wire formats: each reads a request body into an `Ask` and writes an `Answer` as its vendor would."""

from __future__ import annotations

from gateway_batch.devgateway.wire.anthropic_messages import AnthropicMessages, AnthropicTokenCount
from gateway_batch.devgateway.wire.chat_completions import ChatCompletions
from gateway_batch.devgateway.wire.embeddings import Embeddings
from gateway_batch.devgateway.wire.format import Wire
from gateway_batch.devgateway.wire.gemini import Gemini, GeminiTokenCount
from gateway_batch.devgateway.wire.gemini_embeddings import GeminiEmbeddings
from gateway_batch.devgateway.wire.responses import OpenAIResponses, SupervisorResponses
from gateway_batch.devgateway.wire.scoring import Scoring

__all__ = [
    "AnthropicMessages",
    "AnthropicTokenCount",
    "ChatCompletions",
    "Embeddings",
    "Gemini",
    "GeminiEmbeddings",
    "GeminiTokenCount",
    "OpenAIResponses",
    "Scoring",
    "SupervisorResponses",
    "Wire",
]
