"""The types of a JSON file's columns, with each number as it is written."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pyspark.errors import PySparkException
from pyspark.sql import types as t

_DIGITS_OF_DOUBLE = 15


def exact_schema(
    inferred: t.StructType, decimals_of_file: Callable[[], Collection[str]], with_decimals: Callable[[], t.StructType]
) -> t.StructType:
    """A schema that keeps each number: DOUBLE where that does, else DECIMAL.

    Args:
        inferred: as Spark infers it, with DOUBLE for all fractions.
        decimals_of_file: finds the columns that have a number in them which a DOUBLE would change; asked where there is
            a DOUBLE.
        with_decimals: as Spark infers it from the same file with DECIMAL where that holds them; it may be refused.
    """
    doubles = {field.name for field in inferred if _has_double(field.dataType)}
    decimals = doubles & set(decimals_of_file()) if doubles else set()
    if not decimals:
        return inferred
    try:
        exact = _exact_fields(inferred, with_decimals())
    except PySparkException:
        return inferred
    pairs = zip(inferred, exact, strict=True)
    return t.StructType([other if one.name in decimals else one for one, other in pairs])


def _exact_fields(inferred: t.StructType, with_decimals: t.StructType) -> t.StructType:
    pairs = zip(inferred.fields, with_decimals.fields, strict=True)
    return t.StructType([t.StructField(one.name, _exact_type(one.dataType, other.dataType)) for one, other in pairs])


def _exact_type(inferred: t.DataType, with_decimals: t.DataType) -> t.DataType:
    match inferred, with_decimals:
        case t.StructType(), t.StructType():
            return _exact_fields(inferred, with_decimals)
        case t.ArrayType(), t.ArrayType():
            return t.ArrayType(_exact_type(inferred.elementType, with_decimals.elementType))
        case t.DoubleType(), t.DecimalType() if (
            with_decimals.precision > _DIGITS_OF_DOUBLE and with_decimals.scale >= 0
        ):
            return with_decimals
    return inferred


def _has_double(data_type: t.DataType) -> bool:
    if isinstance(data_type, t.StructType):
        return any(_has_double(field.dataType) for field in data_type)
    return (
        _has_double(data_type.elementType)
        if isinstance(data_type, t.ArrayType)
        else isinstance(data_type, t.DoubleType)
    )
