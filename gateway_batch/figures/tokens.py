"""The tokens of an invocation, and its model."""

from __future__ import annotations

from gateway_batch.figures.dialects import Dialect

COUNTS = ("input_tokens", "output_tokens", "total_tokens")
"""The token counts of an invocation. Input includes cached tokens, output includes reasoning."""

FIELDS = (
    *COUNTS,
    "token_details.cache_read_input_tokens",
    "token_details.cache_creation_input_tokens",
    "token_details.output_reasoning_tokens",
)
"""All counts, as the usage table's columns and fields."""

MOST_TOKENS = 100_000_000
"""What a count of one invocation can be at most: ten times the largest context of a model."""

_PREFIXES, _SEPARATORS = r"^(system\.ai\.)?(databricks-)?", "[ ._]+"


def possible(count: str) -> str:
    """SQL: a token count; NULL where no invocation can have so many, so that no sum of them overflows."""
    return f"CASE WHEN {count} BETWEEN 0 AND {MOST_TOKENS} THEN {count} END"


def has_tokens(*counts: str) -> str:
    """SQL: whether any token count is known, so that the invocation cost something."""
    return f"coalesce({', '.join(counts or COUNTS)}) IS NOT NULL"


def plain_input(given: str, read: str, created: str) -> str:
    """SQL: input tokens neither read from the provider's cache nor written to it; NULL if the input is unknown."""
    return (
        f"CASE WHEN {given} IS NOT NULL\n"
        f"    THEN greatest({given} - coalesce({read}, 0)\n"
        f"      - coalesce({created}, 0), 0) END"
    )


def model(name: str, dialect: Dialect) -> str:
    """SQL: a model's name in lower case, with - for spaces, dots and underscores, without Databricks' prefixes."""
    bare = dialect.replaced(f"lower({dialect.trimmed(name)})", _PREFIXES, "")
    return dialect.replaced(bare, _SEPARATORS, "-")
