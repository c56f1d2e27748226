"""Example values for JSON schemas as msgspec writes them."""

import math
from typing import Any, Final

Json = dict[str, Any]

REF: Final = "#/components/schemas/"
DEEP: Final = 3
"""From this depth on only what must be: a struct may contain itself."""

_BY_FORMAT: Final = {"date-time": "2026-11-01T09:00:00Z", "date": "2026-11-01", "decimal": "1.5"}
_BY_NAME: Final = {
    "symbol": "BTCUSDT",
    "asset": "USDT",
    "side": "BUY",
    "type": "LIMIT",
    "time_in_force": "GTC",
    "client_order_id": "my-order-1",
    "reason": "",
    "price": "61250.00",
    "quantity": "0.01000",
    "quote": "612.50",
    "order_id": 1042,
    "trade_id": 90317,
    "ns": 1_793_523_600_000_000_000,
    "ms": 1_793_523_600_000,
}
"""For plain fields without an example of their own, by their name or its last word."""


def resolved(schema: Json, components: Json) -> Json:
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(REF)]
    return schema


def example_of(schema: Json, components: Json, depth: int = 0) -> Any:
    """A value the schema accepts: the example it names, its default, or the simplest of its type."""
    merged = {**resolved(schema, components), **schema}
    if merged.get("examples"):
        return merged["examples"][0]
    if merged.get("default") is not None:
        return merged["default"]
    choices = merged.get("anyOf") or merged.get("oneOf") or merged.get("allOf")
    if choices:
        optional = depth >= DEEP and {"type": "null"} in choices
        return None if optional else example_of(choices[0], components, depth)
    if "enum" in merged:
        return merged["enum"][0]
    if merged.get("type") == "object":
        return _object_example(merged, components, depth)
    if merged.get("type") == "array":
        return _array_example(merged, components, depth)
    return _scalar_example(merged)


def _object_example(schema: Json, components: Json, depth: int) -> Json:
    if "properties" in schema:
        needed = schema.get("required", ()) if depth >= DEEP else schema["properties"]
        return {name: _field_example(name, schema["properties"][name], components, depth + 1) for name in needed}
    extra = schema.get("additionalProperties")
    return {"name": example_of(extra, components, depth + 1)} if isinstance(extra, dict) and depth < DEEP else {}


def _field_example(name: str, schema: Json, components: Json, depth: int) -> Any:
    known = _BY_NAME.get(name, _BY_NAME.get(name.rpartition("_")[2]))
    plain = "integer" if isinstance(known, int) else "string"
    if known is not None and set(schema) <= {"type", "description"} and schema.get("type") == plain:
        return known
    return example_of(schema, components, depth)


def _array_example(schema: Json, components: Json, depth: int) -> list[Any]:
    least = schema.get("minItems", 0 if depth >= DEEP else 1)
    items = schema.get("prefixItems") or [schema.get("items") or {}] * least
    return [example_of(one, components, depth + 1) for one in items if one]


def _scalar_example(schema: Json) -> Any:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        lowest = math.ceil(schema["minimum"]) if "minimum" in schema else 0
        if "exclusiveMinimum" in schema:
            lowest = math.floor(schema["exclusiveMinimum"]) + 1
        return min(max(1, lowest), schema.get("maximum", math.inf))
    if kind == "boolean":
        return True
    if kind == "string":
        text = _BY_FORMAT.get(schema.get("format", ""), "string")
        return text.ljust(schema.get("minLength", 0), "x")
    return None
