"""Usage records and tasks' summaries as Arrow tables, their schemas made from their own fields."""

from __future__ import annotations

import contextlib
import logging
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import orjson
import pyarrow as pa

from gateway_batch.usage.record import UsageRecord
from gateway_batch.usage.task_summary import TaskSummary

_SCALARS = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
    Decimal: pa.decimal128(18, 6),
}

_UNFIT = (pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

_Mend = Callable[[Any], Any]

_log = logging.getLogger(__name__)


def usage_rows(outcomes: Iterable[bytes]) -> pa.Table:
    """Outcome lines of the spool as rows of the usage table; a value that its column can't hold is NULL."""
    return _rows(list(outcomes), SCHEMA, _mend_row)


def task_rows(lines: Iterable[bytes]) -> pa.Table:
    """Lines of tasks' summaries as rows of their table; a value that its column can't hold is NULL."""
    return _rows(list(lines), TASK_SCHEMA, _mend_task)


def schema_of(row: type) -> pa.Schema:
    """The columns of a record's table."""
    return pa.schema(_fields(row))


def _rows(lines: list[bytes], schema: pa.Schema, mend: _Mend) -> pa.Table:
    try:
        return pa.Table.from_pylist([mend(orjson.loads(line[11:])) for line in lines], schema=schema)
    except _UNFIT:
        return pa.Table.from_pylist(list(_fitting_rows(lines, pa.struct(schema))), schema=schema)


def _fitting_rows(lines: list[bytes], row_type: pa.StructType) -> Iterator[dict[str, Any]]:
    """What fits of each line: one that holds a wrong value must not keep the others from the table."""
    _log.warning("usage records have values that no column holds: they are NULL in the table")
    for line in lines:
        with contextlib.suppress(orjson.JSONDecodeError):
            row = _fitting(orjson.loads(line[11:]), row_type)
            if row is not None:
                yield row


def _fitting(value: Any, data_type: pa.DataType) -> Any:
    if pa.types.is_struct(data_type):
        if not isinstance(value, dict):
            return None
        return {field.name: _fitting(value.get(field.name), field.type) for field in data_type}
    try:
        mend = _mender(data_type)
        mended = value if mend is None or value is None else mend(value)
        pa.array([mended], data_type)
    except _UNFIT:
        return None
    return mended


def _arrow_type(hint: Any) -> pa.DataType:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _arrow_type(inner)
    if origin is Annotated:
        return pa.int32()
    if origin is dict:
        return pa.map_(*(_arrow_type(argument) for argument in arguments))
    if origin is tuple:
        return pa.list_(pa.field("element", _arrow_type(arguments[0])))
    if is_dataclass(hint) and isinstance(hint, type):
        return pa.struct(_fields(hint))
    return _SCALARS[hint]


def _fields(row: type) -> list[tuple[str, pa.DataType]]:
    return [(name, _arrow_type(hint)) for name, hint in get_type_hints(row, include_extras=True).items()]


def _mender(data_type: pa.DataType) -> _Mend | None:
    """What makes times and decimals of their text inside a value of the type; None where there are none."""
    if pa.types.is_timestamp(data_type):
        return datetime.fromisoformat
    if pa.types.is_decimal(data_type):
        return Decimal
    if pa.types.is_list(data_type) and (mend_item := _mender(data_type.value_type)):
        return lambda items: [mend_item(item) for item in items]
    if pa.types.is_struct(data_type):
        return _struct_mender(data_type)
    return None


def _struct_mender(fields: Iterable[pa.Field]) -> _Mend | None:
    menders = [(field.name, mend) for field in fields if (mend := _mender(field.type))]

    def mend_all(struct: dict[str, Any]) -> dict[str, Any]:
        for name, mend in menders:
            if struct.get(name) is not None:
                struct[name] = mend(struct[name])
        return struct

    return mend_all if menders else None


SCHEMA = schema_of(UsageRecord)
TASK_SCHEMA = schema_of(TaskSummary)
_mend_row = _struct_mender(SCHEMA) or dict
_mend_task = _struct_mender(TASK_SCHEMA) or dict
