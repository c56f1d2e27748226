"""A result in one line, field by field, with the names and figures that the API tells: for results of any shape."""

from typing import Any, Final

import msgspec

MAX_PARTS: Final = 24
MAX_CHARS: Final = 1500


def told(result: Any) -> str:
    parts = _parts(msgspec.to_builtins(result), "")
    return ", ".join(parts[:MAX_PARTS])[:MAX_CHARS]


def _parts(value: Any, name: str) -> list[str]:
    if isinstance(value, dict):
        inner = ((f"{name}.{key}" if name else str(key), one) for key, one in value.items())
        return [part for key, one in inner for part in _parts(one, key)]
    if isinstance(value, list):
        return [part for k, one in enumerate(value) for part in _parts(one, f"{name}[{k}]")]
    if value is None:
        return []
    return [f"{name} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"]
