"""Iterator Arrow UDFs that a session's Columns are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pyspark.sql import Column
from pyspark.sql import types as t
from pyspark.util import PythonEvalType

_KIND = PythonEvalType.SQL_SCALAR_ARROW_ITER_UDF


def arrow_function(function: Callable[..., Any], returns: t.DataType, name: str) -> Callable[..., Column]:
    """The UDF for a Spark Connect session; called with Columns, it is one."""
    from pyspark.sql.connect.udf import UserDefinedFunction  # it needs gRPC

    made = UserDefinedFunction(function, returns, name=name, evalType=_KIND, deterministic=True)
    return cast("Callable[..., Column]", made)


def classic_arrow_function(function: Callable[..., Any], returns: t.DataType, name: str) -> Callable[..., Column]:
    """The UDF for a classic session."""
    from pyspark.sql.udf import UserDefinedFunction

    return UserDefinedFunction(function, returns, name=name, evalType=_KIND, deterministic=True)
