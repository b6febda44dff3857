"""The SQL functions of a Spark Connect session, as the statements that make them. Pure; no Spark in here.

Each is a temporary SQL function, as these have names and defaults for their arguments, around one Python function of
the session. What has to be constant goes to it as one column of JSON. Parameters are VARIANT, so that the JSON shows
the type that the caller gave, and so that Spark refuses a STRUCT instead of writing it out as text.
"""

from __future__ import annotations

from gateway_batch.spark.calls.ai_functions import TaskFunction
from gateway_batch.spark.calls.signature import AI_QUERY

COMMENT = "made by gateway_batch"
"""Of each of our functions: by it a later process knows them."""

NO_FILE = b"\0gateway_batch: no file"
"""Stands for `files` not given, which is another thing than a file that is NULL."""

FUNCTION_KEY = "function"
"""The member of the constants' JSON that names the function."""

AI_QUERY_COLUMNS = ("request", "files", "requestTags", "when")
"""What the Python function gets for `ai_query` after its constants, in order."""

VARIANTS = frozenset({"ai_classify", "ai_decide", "ai_extract"})
"""The task functions whose result is VARIANT."""

_TYPES = {"files": "BINARY", "requestTags": "MAP<STRING, STRING>", "options": "MAP<STRING, STRING>", "when": "BOOLEAN"}
_DEFAULTS = {"files": f"X'{NO_FILE.hex()}'", "when": "TRUE"}


def python_function(name: str) -> str:
    """The name of the Python function behind a registration's SQL functions."""
    return f"_gateway_batch_{name}"


def create_ai_query(name: str, python: str) -> str:
    """The statement that makes `ai_query`, under any name."""
    parameters = AI_QUERY.parameters
    constants = _constants(AI_QUERY.function, tuple(p for p in parameters if p not in AI_QUERY_COLUMNS))
    columns = ("to_json(`request`)", *(f"`{column}`" for column in AI_QUERY_COLUMNS[1:]))
    body = f"`{python}`({', '.join((constants, *columns))})"
    return _create(name, parameters, AI_QUERY.required, "STRING", body)


def create_task(task: TaskFunction, name: str, python: str) -> str:
    """The statement that makes a task function."""
    contents = (f"to_json(`{content}`)" for content in task.contents)
    body = f"`{python}`({', '.join((_constants(task.name, task.constants), *contents))})"
    returns = "STRING"
    if task.name in VARIANTS:
        returns, body = "VARIANT", f"parse_json({body})"
    elif task.name == "ai_similarity":
        returns, body = "FLOAT", f"CAST({body} AS FLOAT)"
    return _create(name, task.signature.parameters, task.signature.required, returns, body)


def drop(name: str) -> str:
    """The statement that takes a function out of the session."""
    return f"DROP TEMPORARY FUNCTION IF EXISTS `{name}`"


def _create(name: str, parameters: tuple[str, ...], required: int, returns: str, body: str) -> str:
    declared = (
        f"`{parameter}` {_TYPES.get(parameter, 'VARIANT')}"
        + (f" DEFAULT {_DEFAULTS.get(parameter, 'NULL')}" if index >= required else "")
        for index, parameter in enumerate(parameters)
    )
    return (
        f"CREATE OR REPLACE TEMPORARY FUNCTION `{name}`({', '.join(declared)}) "
        f"RETURNS {returns} COMMENT '{COMMENT}' RETURN {body}"
    )


def _constants(function: str, names: tuple[str, ...]) -> str:
    members = (f"'{FUNCTION_KEY}', '{function}'", *(f"'{name}', `{name}`" for name in names))
    return f"to_json(named_struct({', '.join(members)}))"
