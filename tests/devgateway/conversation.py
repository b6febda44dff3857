"""The short conversation of the page on querying model services, in each vendor's shape, and its answer."""

from __future__ import annotations

from typing import Any

from google.genai import types

MODEL = "databricks-gpt-5-4"
MESSAGES: Any = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hi, what can I do?"},
    {"role": "user", "content": "Name a lake."},
]
PARTS: Any = [
    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Hi, what can I do?"}]},
    {"role": "user", "content": [{"type": "input_text", "text": "Name a lake."}]},
]
CONTENTS: Any = [
    types.Content(role="user", parts=[types.Part(text="Hi")]),
    types.Content(role="model", parts=[types.Part(text="Hi, what can I do?")]),
    types.Content(role="user", parts=[types.Part(text="Name a lake.")]),
]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"lake": {"type": "string"}, "depth_m": {"type": "number"}},
    "required": ["lake", "depth_m"],
    "additionalProperties": False,
}
TAGS = {"project": "chatbot", "team": "ml-platform"}
TAGS_HEADER = "Databricks-Ai-Gateway-Request-Tags"
LAKE = "This is a stand-in's answer about name lake."
