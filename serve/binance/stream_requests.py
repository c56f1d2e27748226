"""What a client of the market streams may ask, and the venue's errors when it asks otherwise. Pure.

The words and codes are the venue's; they reach the client as `{"error": {"code", "msg"}, "id"}`, as they do on its wire.
"""

import json
import re
from typing import Any, Final, TypeAlias

import msgspec

from market.stream_names import looks_like_stream
from serve.auth.key_material import is_identifier as looks_like_listen_key

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
RequestId: TypeAlias = int | str | None
_TEXT_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,36}", re.ASCII)


class StreamError(Exception):
    """A request that is refused. `fatal`: the connection ends with it."""

    def __init__(self, code: int, msg: str, fatal: bool = False) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.fatal = fatal
        self.request_id: Any = msgspec.UNSET
        """Told back when the request had a proper one."""


class Request(msgspec.Struct):
    method: str
    id: RequestId
    streams: list[str] = []
    """Of SUBSCRIBE and UNSUBSCRIBE."""
    value: bool = False
    """Of SET_PROPERTY: what `combined` is to be."""


def invalid(what: str, fatal: bool = False) -> StreamError:
    return StreamError(2, f"Invalid request: {what}", fatal)


def too_many_streams() -> StreamError:
    return StreamError(4, "Too many subscriptions")


def parse(text: str) -> Request:
    """StreamError when the frame is no request."""
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        raise StreamError(3, f"Invalid JSON: expected value at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise StreamError(3, "Invalid JSON: recursion limit exceeded at line 1 column 128") from None
    if not isinstance(told, dict):
        raise invalid("expected an object at line 1 column 1")
    if "id" not in told or not _is_id(told["id"]):
        raise invalid("request ID must be an unsigned integer")
    try:
        return _request(told, text)
    except StreamError as error:
        error.request_id = told["id"]
        raise


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return _TEXT_ID.fullmatch(value) is not None
    if isinstance(value, bool):
        return False
    return value is None or (isinstance(value, int) and -(1 << 63) <= value < 1 << 63)


def _request(told: dict[str, Any], text: str) -> Request:
    if "method" not in told:
        raise invalid(f"missing field `method` at {_place(text, len(text))}")
    method, params = told["method"], told.get("params")
    if method not in METHODS:
        named = json.dumps(method)
        at = text.find(named)
        expected = ", ".join(f"`{one}`" for one in METHODS)
        place = _place(text, len(text) if at < 0 else at + len(named))
        shown = method if isinstance(method, str) else named
        raise invalid(f"unknown variant `{shown[:64]}`, expected one of {expected} at {place}")
    if params is None:
        params = []
    if not isinstance(params, list):
        raise invalid("params must be an array")
    if method == "LIST_SUBSCRIPTIONS":
        if params:
            raise invalid("too many parameters")
        return Request(method, told["id"])
    if method.endswith("_PROPERTY"):
        return _property(method, told["id"], params)
    if not all(isinstance(one, str) and (looks_like_stream(one) or looks_like_listen_key(one)) for one in params):
        raise invalid("invalid stream", fatal=True)
    return Request(method, told["id"], params)


def _property(method: str, request_id: RequestId, params: list[Any]) -> Request:
    setting = method == "SET_PROPERTY"
    if len(params) > 1 + setting:
        raise invalid("too many parameters")
    if not params or not isinstance(params[0], str):
        raise invalid("property name must be a string")
    if params[0] != "combined":
        raise StreamError(0, "Unknown property")
    if not setting:
        return Request(method, request_id)
    if len(params) < 2 or not isinstance(params[1], bool):
        raise StreamError(1, "Invalid value type: expected Boolean")
    return Request(method, request_id, value=params[1])


def _place(text: str, at: int) -> str:
    before = text[:at]
    line_starts = before.rfind("\n") + 1
    return f"line {before.count(chr(10)) + 1} column {at - line_starts}"


def answer(result: Any, request_id: RequestId) -> dict[str, Any]:
    return {"result": result, "id": request_id}


def refusal(error: StreamError) -> dict[str, Any]:
    told: dict[str, Any] = {"error": {"code": error.code, "msg": error.msg}}
    if error.request_id is not msgspec.UNSET:
        told["id"] = error.request_id
    return told
