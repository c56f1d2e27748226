"""What a tool is: a name, typed arguments with their JSON schema, and a function that gives figures of the API.

Nothing among the arguments says whose account is meant: that is who asks.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from serve.assistant.schema import ToolError, ToolUse
from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.field_docs import field_docs
from serve.http.decode import invalid

DEFINITIONS: Final = "#/$defs/"


class Asker(NamedTuple):
    """Who asks, and when."""

    principal: Principal
    now_ns: int
    """Market time."""
    utc_offset_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    arguments: type[msgspec.Struct]
    run: Callable[[Asker, Any], Awaitable[Any]]

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, without references."""
        found = msgspec.json.schema(self.arguments)
        inlined: dict[str, Any] = _inlined(found, found.get("$defs", {}))
        for name, text in field_docs(self.arguments).items():
            inlined.get("properties", {}).get(name, {}).setdefault("description", text)
        inlined.setdefault("properties", {})
        return inlined


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix(DEFINITIONS)]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in node.items() if key not in ("$defs", "title")}


class Toolbox:
    def __init__(self, tools: list[Tool]) -> None:
        self.tools = {one.name: one for one in tools}

    async def use(self, asker: Asker, name: str, arguments: msgspec.Struct | dict[str, Any]) -> tuple[ToolUse, Any]:
        """What is told of it, and its result as it is (None: an error). Errors of the API are results too."""
        tool = self.tools.get(name)
        if tool is None:
            return _failed(name, {}, ApiError(Code.NOT_FOUND, f"There is no tool {name[:40]}.")), None
        told = arguments if isinstance(arguments, dict) else _told(arguments)
        try:
            try:
                checked = msgspec.convert(told, tool.arguments)
            except msgspec.ValidationError as error:
                raise invalid(error) from None
            told = _told(checked)
            result = await tool.run(asker, checked)
        except ApiError as error:
            return _failed(name, told, error), None
        return ToolUse(name, told, result), result


def _told(arguments: msgspec.Struct) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(arguments)
    return {name: value for name, value in found.items() if value is not None}


def _failed(name: str, told: dict[str, object], error: ApiError) -> ToolUse:
    return ToolUse(name, told, None, ToolError(str(error.code), error.message, error.field))
