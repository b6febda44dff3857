"""A value that validates against a JSON schema, filled from a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway_batch.devgateway.models.facts import Facts
from gateway_batch.devgateway.models.scalars import as_boolean, as_number, as_string, best_member
from gateway_batch.json_data.json_schemas import SchemaFault, validator_of

Schema = Mapping[str, Any]

_DEEP = 6
_USUAL_ITEMS = 2
_MOST_ITEMS = 3
_BY_KEYWORD = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}


def value_for(schema: Schema, text: str) -> Any:
    """A value for the schema, the same for the same text. A schema that says nothing gets an object."""
    return _Filling(schema, text).value(schema if schema else {"type": "object"}, "answer", 0)


class _Filling:
    """One schema being filled from one text. `name` is the property that a value is for."""

    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._facts = Facts(text)

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """A value for any schema, `true` included."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return best_member(schema["enum"], name, self._facts)
        for choice in ("anyOf", "oneOf"):
            if schema.get(choice):
                return self._choose(schema, choice, name, depth)
        match _type_of(schema, depth):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number" as numeric:
                return as_number(schema, name, self._facts, whole=numeric == "integer")
            case "boolean":
                return as_boolean(name, self._facts)
            case "null":
                return None
        return as_string(schema, name, self._facts)

    def _resolved(self, schema: Any, steps: int = 0) -> dict[str, Any]:
        """Without `$ref` and `allOf`, as far as a few steps go: references may be circular."""
        if not isinstance(schema, Mapping) or steps > _DEEP:
            return {}
        found = dict(schema)
        for _ in range(_DEEP):
            if "$ref" not in found:
                break
            target = self._target(found.pop("$ref"))
            found = {**target, **found}
        for part in found.pop("allOf", ()):
            found = _merged(found, self._resolved(part, steps + 1))
        return found

    def _target(self, reference: str) -> Schema:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if step:
                target = target.get(step, {}) if isinstance(target, Mapping) else {}
        return target if isinstance(target, Mapping) else {}

    def _choose(self, schema: dict[str, Any], choice: str, name: str, depth: int) -> Any:
        """The first branch whose value the whole choice allows; null only if it comes to nothing else."""
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        whole = {**self._definitions(), choice: schema[choice]}
        value: Any = None
        for branch in sorted(schema[choice], key=lambda branch: self._is_null(branch) != (depth >= _DEEP)):
            value = self.value(_merged(rest, self._resolved(branch)), name, depth + 1)
            if choice == "anyOf" or _is_valid(value, whole):
                break
        return value

    def _definitions(self) -> dict[str, Any]:
        return {key: self._root[key] for key in ("$defs", "definitions") if key in self._root}

    def _is_null(self, branch: Any) -> bool:
        found = self._resolved(branch)
        return found.get("type") == "null" or ("const" in found and found["const"] is None)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = list(properties) if depth < _DEEP else [name for name in properties if name in required]
        names += [name for name in required if name not in properties]
        filled = {name: self.value(properties.get(name, {"type": "string"}), name, depth + 1) for name in names}
        for name in self._more_names(schema, filled):
            further = schema.get("additionalProperties")
            filled[name] = self.value(further if isinstance(further, Mapping) else {"type": "string"}, name, depth + 1)
        return filled

    def _more_names(self, schema: dict[str, Any], filled: dict[str, Any]) -> Iterator[str]:
        """Names for an object that is a map, or has to have more than its properties."""
        is_map = isinstance(schema.get("additionalProperties"), Mapping) and not filled
        is_open = not schema.get("properties") and "additionalProperties" not in schema
        least = max(schema.get("minProperties", 0), 1 if is_map or is_open else 0)
        names = (name for name in self._facts.names() if name not in filled)
        for _ in range(min(least, schema.get("maxProperties", least)) - len(filled)):
            yield next(names)

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items", {"type": "string"})
        fixed = schema.get("prefixItems") or ()
        values = [self.value(part, name, depth + 1) for part in fixed]
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, _MOST_ITEMS))
        usual = 0 if items is False or depth >= _DEEP else max(len(values), _USUAL_ITEMS)
        wanted = max(least, min(most, usual))
        tries = 0
        while len(values) < wanted and tries < 4 * wanted + 8:
            tries += 1
            self._facts.turn += 1
            value = self.value(schema["contains"] if "contains" in schema and not values else items, name, depth + 1)
            if value not in values or not schema.get("uniqueItems"):
                values.append(value)
        return values[:most]


def _is_valid(value: Any, schema: Schema) -> bool:
    """Whether it validates; what refers to other documents is taken to, as nothing is fetched."""
    try:
        return validator_of(schema).is_valid(value)
    except SchemaFault:
        return True


def _type_of(schema: dict[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [name for name in kind if name != "null"] or ["null"]
        return "null" if depth >= _DEEP and "null" in kind else str(kinds[0])
    if isinstance(kind, str):
        return kind
    return next((kind for keyword, kind in _BY_KEYWORD.items() if keyword in schema), "string")


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Both schemas at once: properties and required names of either, the narrower bounds, else the second's word."""
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        merged["required"] = list(dict.fromkeys([*first["required"], *second["required"]]))
    for bounds, narrower in ((_LOWER, max), (_UPPER, min)):
        for bound in bounds & first.keys() & second.keys():
            merged[bound] = narrower(first[bound], second[bound])
    return merged


_LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
