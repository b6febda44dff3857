"""Iterator Arrow UDFs of Spark Connect sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import types as t
from pyspark.sql.connect.udf import UserDefinedFunction
from pyspark.util import PythonEvalType


def arrow_function(function: Callable[..., Any], returns: t.DataType, name: str) -> UserDefinedFunction:
    """The UDF; called with Columns, it is one."""
    return UserDefinedFunction(
        function, returns, name=name, evalType=PythonEvalType.SQL_SCALAR_ARROW_ITER_UDF, deterministic=True
    )
