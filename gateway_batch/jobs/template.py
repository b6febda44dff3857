"""Prompt templates: text with names of columns in braces, as SQL. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from string import Formatter

from gateway_batch.errors import ConfigError
from gateway_batch.spark.session.sql_text import literal

_DOUBLED = "braces that are no column's are doubled: {{ and }}"


def prompt_sql(template: str, columns: Iterable[str]) -> str:
    """The SQL text of a prompt.

    Args:
        template: such as `Summarize: {body}`; `{{` and `}}` are braces themselves.
        columns: those that there are; names are found in any case.

    Returns:
        An expression of type STRING, NULL where one of the template's columns is NULL, so that nothing is sent.

    Raises:
        ConfigError: a name is no column, or there is none in the template.
    """
    names = list(columns)
    parts, named = [], False
    for text, name in _parts(template):
        if text:
            parts.append(literal(text))
        if name is not None:
            found = find_column(names, name, "prompt", f"; {_DOUBLED}")
            parts.append(f"CAST({quoted_column(found)} AS STRING)")
            named = True
    if not named:
        raise ConfigError(
            f"prompt: {template!r} names no column, so that all rows would ask the same: write a column's name in "
            "braces, such as {text}"
        )
    return f"concat({', '.join(parts)})"


def find_column(columns: Sequence[str], name: str, where: str, further: str = "") -> str:
    """A column by its name, in any case where there is only one then.

    Raises:
        ConfigError: there is none, or there are several that differ by case.
    """
    found = [column for column in columns if column == name] or [
        column for column in columns if column.lower() == name.lower()
    ]
    if not found:
        raise ConfigError(f"{where}: the source has no column {name!r}; it has {', '.join(columns)}{further}")
    if len(found) > 1:
        raise ConfigError(f"{where}: {name!r} may be {' or '.join(found)}: write it as it is{further}")
    return found[0]


def quoted_column(name: str) -> str:
    """A column's name as SQL spells it, whatever is in it."""
    return f"`{name.replace('`', '``')}`"


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Texts, each with the name that comes after it."""
    try:
        for text, name, form, conversion in Formatter().parse(template):
            if form or conversion or name == "":
                raise ConfigError(
                    f"prompt: {{{name}{'!' if conversion else ''}{conversion or ''}{':' if form else ''}"
                    f"{form or ''}}} is not a column's name alone; {_DOUBLED}"
                )
            yield text, name
    except ValueError as error:
        raise ConfigError(f"prompt: {error}; {_DOUBLED}") from None
