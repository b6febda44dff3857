"""Whether an answer is the JSON that its request asked for, by the schema as the caller wrote it.

On the wire a schema goes as the API takes it (`wire_schemas`), so an answer may keep to that and break the caller's.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from gateway_batch.apis.wire_schemas import with_missing_nulls
from gateway_batch.json_data import exact_json
from gateway_batch.json_data.json_schemas import validator_of
from gateway_batch.types import JsonObject, ResponseFormat


class NotAsPromised(Exception):
    """What is wrong with an answer, a sentence without its end. Nothing of the answer is in it."""


def promised_json(wanted: ResponseFormat | None, name: str) -> Callable[[str], JsonObject]:
    """A function from an answer's text to the object that it has to be; it raises NotAsPromised where it is another.

    Args:
        wanted: the format; None: as one without a schema, any object.
        name: the argument that asked for it, for errors.

    Raises:
        SchemaFault: the schema is none, or refers to what is not in it.
    """
    schema = {"type": "object"} if wanted is None or wanted.schema is None else dict(wanted.schema)
    validator = validator_of(schema)

    def read(answer: str) -> JsonObject:
        try:
            text = answer.encode()
            value = with_missing_nulls(orjson.loads(text), schema)
            fault = next(validator.iter_errors(value), None)
        except ValueError:
            raise NotAsPromised(f"the answer is not the JSON that {name} asks for") from None
        if fault is not None:  # by its place in the schema: its message would quote the answer
            place = "/".join(str(part) for part in fault.schema_path)
            raise NotAsPromised(f"the answer breaks the schema of {name} at {place}")
        return exact_json.loads(text) if exact_json.has_long_number(text) else value  # type: ignore[no-any-return]

    return read
