"""From an answer to the SQL type asked for, as `from_json` reads JSON, but an answer that doesn't fit is an error."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError, ai_function_error
from gateway_batch.json_data import exact_json

_DECIMALS = [Context(prec=max(1, digits), rounding=ROUND_HALF_UP) for digits in range(39)]

Convert = Callable[[Any], Any]

_ARROW: dict[type[t.DataType], pa.DataType] = {
    t.StringType: pa.string(),
    t.BooleanType: pa.bool_(),
    t.ByteType: pa.int8(),
    t.ShortType: pa.int16(),
    t.IntegerType: pa.int32(),
    t.LongType: pa.int64(),
    t.FloatType: pa.float32(),
    t.DoubleType: pa.float64(),
    t.DateType: pa.date32(),
    t.TimestampType: pa.timestamp("us", tz="UTC"),
    t.TimestampNTZType: pa.timestamp("us"),
}
_INTEGERS: dict[type[t.DataType], int] = {t.ByteType: 8, t.ShortType: 16, t.IntegerType: 32, t.LongType: 64}


def check_supported(data_type: t.DataType, text: str) -> None:
    """Refuses a returnType that no answer can be read as.

    Raises:
        AiFunctionError: of class AI_FUNCTION_UNSUPPORTED_RETURN_TYPE.
    """
    try:
        _converter(data_type, UTC)
    except _UnsupportedError as error:
        raise unsupported_return_type(text, f"{error.args[0]} is not supported") from None


def arrow_type(data_type: t.DataType) -> pa.DataType:
    """The Arrow type that Spark takes for a supported type. Spark's own translation differs between its versions."""
    match data_type:
        case t.DecimalType():
            return pa.decimal128(data_type.precision, data_type.scale)
        case t.ArrayType():
            return pa.list_(pa.field("element", arrow_type(data_type.elementType)))
        case t.MapType():
            return pa.map_(arrow_type(data_type.keyType), arrow_type(data_type.valueType))
        case t.StructType():
            return pa.struct([(field.name, arrow_type(field.dataType)) for field in data_type.fields])
    return _ARROW[type(data_type)]


def unsupported_return_type(text: str, why: str) -> AiFunctionError:
    """The error of a returnType that can't be used."""
    return ai_function_error("AI_FUNCTION_UNSUPPORTED_RETURN_TYPE", text=text, why=why)


def answer_reader(data_type: t.DataType, time_zone: str) -> Convert:
    """A function from an answer (a chat model's text, an embedding's vector) to a value of the type.

    Args:
        data_type: the type.
        time_zone: of times without an offset: a region, or an offset as `Z` or `+05:30`.

    The function raises AiFunctionError of class AI_FUNCTION_HTTP_PARSE_CAST_ERROR for an answer that doesn't fit. The
    answer itself stays out of the message: error texts end up in logs and tables.
    """
    convert = _converter(data_type, _zone(time_zone))

    def read(answer: Any) -> Any:
        try:
            return convert(_parsed(answer, data_type))
        except _MismatchError as error:
            raise does_not_fit(data_type.simpleString(), answer, str(error)) from None

    return read


def does_not_fit(type_name: str, answer: Any, why: str) -> AiFunctionError:
    """The error of an answer that is not what was asked for. The answer stays out of it."""
    size = f"<{len(answer)} characters, not shown>" if isinstance(answer, str) else "<not shown>"
    return ai_function_error("AI_FUNCTION_HTTP_PARSE_CAST_ERROR", return_type=type_name, response=size, why=why)


class _MismatchError(Exception):
    """A value that the type can't hold. Its text names types and places, never the value."""


class _UnsupportedError(Exception):
    """A type that no answer is read as."""


def _zone(name: str) -> tzinfo:
    if name == "Z" or name[0] in "+-":
        return datetime.strptime(name, "%z").tzinfo or UTC
    return ZoneInfo(name)


def _parsed(answer: Any, data_type: t.DataType) -> Any:
    if not isinstance(answer, str) or isinstance(data_type, t.StringType):
        return answer
    try:
        return json.loads(answer, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, InvalidOperation):
        if isinstance(data_type, t.ArrayType | t.MapType | t.StructType):
            raise _MismatchError("the answer is not JSON") from None
        return answer.strip()


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _converter(data_type: t.DataType, zone: tzinfo) -> Convert:
    match data_type:
        case t.StringType():
            return _nullable(_string)
        case t.BooleanType():
            return _nullable(_boolean)
        case t.FloatType() | t.DoubleType():
            return _nullable(_float)
        case t.DecimalType():
            return _nullable(_decimal(data_type))
        case t.DateType() | t.TimestampType() | t.TimestampNTZType():
            return _nullable(_moment(data_type, zone))
        case t.ArrayType(elementType=t.FloatType() | t.DoubleType()):
            return _nullable(_vector)
        case t.ArrayType():
            return _nullable(_array(_converter(data_type.elementType, zone)))
        case t.MapType():
            return _nullable(_map(_converter(data_type.keyType, zone), _converter(data_type.valueType, zone)))
        case t.StructType():
            if twice := [name for name, times in Counter(data_type.names).items() if times > 1]:
                raise _UnsupportedError(f"a struct with two members named {twice[0]}")
            return _nullable(_struct({f.name: _converter(f.dataType, zone) for f in data_type.fields}))
    bits = _INTEGERS.get(type(data_type))
    if bits is None:
        raise _UnsupportedError(data_type.simpleString())
    return _nullable(_integer(bits))


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _mismatch(wanted: str, value: Any) -> _MismatchError:
    return _MismatchError(f"expected {wanted}, found {_json_name(value)}")


def _json_name(value: Any) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def _string(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else exact_json.dumps(value)
        text.encode("utf-8")
    except RecursionError:
        raise _MismatchError("the answer is nested too deep") from None
    except UnicodeEncodeError:
        raise _MismatchError("the text is not Unicode: it has half a surrogate pair") from None
    return text


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise _mismatch("a boolean", value)
    return value


def _number(value: Any, wanted: str) -> Decimal:
    try:
        if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
            written = str(value).strip()
            number = Decimal(written)
            if number.is_finite() and written.isascii() and "_" not in written:  # Python reads these, SQL does not
                return number
    except InvalidOperation:
        pass
    raise _mismatch(wanted, value)


def _integer(bits: int) -> Convert:
    def convert(value: Any) -> int:
        number = _number(value, "an integer")
        if number != number.to_integral_value() or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise _MismatchError(f"the number is not an integer of {bits} bits")
        return int(number)

    return convert


def _float(value: Any) -> float:
    """A number; a Decimal that is none is what a server wrote as NaN or Infinity, and not as a text."""
    return float(value) if isinstance(value, float | Decimal) else float(_number(value, "a number"))


def _decimal(data_type: t.DecimalType) -> Convert:
    def convert(value: Any) -> Decimal:
        number = _number(value, "a number")
        try:
            return _DECIMALS[data_type.precision].quantize(number, Decimal(1).scaleb(-data_type.scale))
        except InvalidOperation:
            raise _MismatchError(f"the number has too many digits for {data_type.simpleString()}") from None

    return convert


def _moment(data_type: t.DataType, zone: tzinfo) -> Convert:
    def convert(value: Any) -> date | datetime:
        if not isinstance(value, str):
            raise _mismatch("a date or time in a string", value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _MismatchError("the string is not an ISO 8601 date or time") from None
        if isinstance(data_type, t.DateType):
            return moment.date()
        if isinstance(data_type, t.TimestampNTZType):
            return moment.replace(tzinfo=None)
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)

    return convert


def _array(element: Convert) -> Convert:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _mismatch("an array", value)
        return [element(item) for item in value]

    return convert


def _vector(value: Any) -> list[float | None]:
    """An array of numbers. That of an embedding is floats already: 1,024 of them one by one would take 0.09 ms."""
    if isinstance(value, list) and {float}.issuperset(map(type, value)):
        return value
    return _array(_nullable(_float))(value)  # type: ignore[no-any-return]


def _map(key: Convert, item: Convert) -> Convert:
    def convert(value: Any) -> list[tuple[Any, Any]]:
        if not isinstance(value, dict):
            raise _mismatch("an object", value)
        return [(key(name), item(member)) for name, member in value.items()]

    return convert


def _struct(members: dict[str, Convert]) -> Convert:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch("an object", value)
        return {name: convert_member(value.get(name)) for name, convert_member in members.items()}

    return convert
