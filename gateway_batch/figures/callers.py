"""Which program made a call, by the User-Agent that it sent. The SQL runs in Spark and in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping

CODING_AGENTS = {
    "codex": "codex",
    "claude": "claude-code",
    "gemini": "gemini-cli",
    "opencode": "opencode",
    "cursor": "cursor",
}
"""Coding agents by a part of their User-Agent, in small letters; the first that is found counts."""

FRAMEWORKS = {
    "databricks-agents": "databricks-agents",
    "agents/python": "openai-agents",
    "agents/javascript": "openai-agents",
    "claude-agent-sdk": "claude-agent-sdk",
    "langgraph": "langgraph",
    "langchain": "langchain",
    "llama-index": "llama-index",
    "llama_index": "llama-index",
    "llamaindex": "llama-index",
    "pydantic-ai": "pydantic-ai",
    "pydantic_ai": "pydantic-ai",
    "crewai": "crewai",
    "autogen": "autogen",
    "semantic-kernel": "semantic-kernel",
    "strands": "strands",
    "google-adk": "google-adk",
    "smolagents": "smolagents",
    "haystack": "haystack",
    "dspy": "dspy",
    "mastra": "mastra",
    "ai-sdk": "ai-sdk",
}
"""Frameworks for agents, likewise. Those that send the User-Agent of a vendor's SDK can't be told from it."""

CODING_AGENT = "session_metadata.coding_agent"
"""The field that names the coding agent where its User-Agent doesn't."""


def coding_agent(program: str = "program", otherwise: str = CODING_AGENT) -> str:
    """SQL: the coding agent that made a call, from its User-Agent in small letters; NULL for other callers."""
    return _named(CODING_AGENTS, program, f"\n    ELSE {otherwise}")


def framework(program: str = "program") -> str:
    """SQL: the framework that the calling agent is built with, likewise; NULL where none is known."""
    return _named(FRAMEWORKS, program, "")


def _named(names: Mapping[str, str], program: str, otherwise: str) -> str:
    cases = "".join(f"\n    WHEN contains({program}, '{part}') THEN '{name}'" for part, name in names.items())
    return f"CASE{cases}{otherwise}\n  END"
