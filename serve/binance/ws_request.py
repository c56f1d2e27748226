"""A frame of the WebSocket API: the envelope, its parameters as texts, and the bytes that a signature is made over. Pure."""

import re
from typing import Any, Final
from urllib.parse import quote

import msgspec

from serve.binance.errors import BinanceError, illegal, illegal_somewhere
from serve.binance.sent import MAX_PARAMETERS, Sent

MAX_FRAME_CHARS: Final = 65_536
"""An order list has some 2,000."""
ID_RANGE: Final = "^[a-zA-Z0-9-_]{1,36}$"
VERSION: Final = "v3/"
"""A method may be called with it."""
NULL: Final = msgspec.Raw(b"null")

_INTEGER_ID: Final = re.compile(rb"-?[0-9]{1,19}")
_TEXT_ID: Final = re.compile(rb'"[a-zA-Z0-9\-_]{1,36}"')
_ABSENT: Final = msgspec.Raw(b"")


class _Envelope(msgspec.Struct):
    id: msgspec.Raw = _ABSENT
    method: msgspec.Raw = _ABSENT
    params: msgspec.Raw = _ABSENT


class WsRequest(msgspec.Struct, gc=False):
    id: msgspec.Raw
    """As it was sent."""
    method: str
    values: dict[str, str]
    """Parameters as texts; `signature` and `returnRateLimits` left out."""
    signature: str | None
    return_rate_limits: bool | None
    """None: as the connection was told."""
    apart: int = 0
    """Parameters that were read beyond the values."""

    def signed(self) -> Sent:
        """The payload: all parameters but the signature, sorted by name. Looks at them before any is taken out."""
        return Sent(self.values, self.signature, payload_of(self.values))


class BadEnvelope(BinanceError):
    """The frame is no request. `id` is told back when it was a proper one."""

    def __init__(self, msg: str, request_id: msgspec.Raw = NULL) -> None:
        super().__init__(-1135, msg)
        self.id = request_id


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


def parse(frame: str | bytes) -> WsRequest:
    """Raises BadEnvelope; BinanceError with an `id` where a parameter is not readable."""
    if len(frame) > MAX_FRAME_CHARS:
        raise BadEnvelope("Invalid JSON Request")
    try:
        envelope = _decode_envelope(frame)
    except _UNREADABLE:
        raise BadEnvelope("Invalid JSON Request") from None
    request_id = _id_of(bytes(envelope.id))
    method = _text_of(envelope.method)
    if not method:
        raise BadEnvelope("Invalid 'method' in JSON request; expected a string.", request_id)
    values = _values_of(envelope.params, request_id)
    request = WsRequest(request_id, method.removeprefix(VERSION), values, None, None)
    _take_apart(request)
    return request


def _id_of(sent: bytes) -> msgspec.Raw:
    if sent == b"null" or _INTEGER_ID.fullmatch(sent) or _TEXT_ID.fullmatch(sent):
        return msgspec.Raw(sent)
    raise BadEnvelope(
        f"Invalid 'id' in JSON request; expected an integer, a string matching '{ID_RANGE}', or null."
    )  # fmt: skip


def _text_of(raw: msgspec.Raw) -> str | None:
    try:
        return _decode_text(raw)
    except _UNREADABLE:
        return None


def _values_of(raw: msgspec.Raw, request_id: msgspec.Raw) -> dict[str, str]:
    if not bytes(raw):
        return {}
    try:
        given = _decode_values(raw)
        values = {name: _value(one) for name, one in given.items()}
    except _UNREADABLE:
        raise BadEnvelope("Invalid 'params' in JSON request; expected an object.", request_id) from None
    if len(values) > MAX_PARAMETERS:
        raise BadEnvelope("Invalid 'params' in JSON request; too many parameters.", request_id)
    return values


def _value(raw: msgspec.Raw) -> str:
    """Numbers as they were written; arrays without spaces; null is empty."""
    sent = bytes(raw)
    match sent[:1]:
        case b'"':
            return _decode_text(sent)
        case b"n":
            return ""
        case b"[" | b"{":
            return msgspec.json.format(sent, indent=-1).decode()
        case _:
            return sent.decode("ascii")


def _take_apart(request: WsRequest) -> None:
    values = request.values
    request.signature = values.pop("signature", None)
    if request.signature is not None:
        request.apart += 1
    shown = values.get("returnRateLimits")
    if shown in ("true", "false"):
        request.return_rate_limits = shown == "true"


def check_limits_wanted(request: WsRequest) -> None:
    """After the signature was checked: it holds for this parameter too. Raises -1100."""
    shown = request.values.pop("returnRateLimits", None)
    if shown is not None:
        request.apart += 1
        if request.return_rate_limits is None:
            raise illegal("returnRateLimits", "^(true|false)$")


def payload_of(values: dict[str, str]) -> bytes:
    try:
        return "&".join([f"{name}={values[name]}" for name in sorted(values)]).encode()
    except UnicodeError:
        raise illegal_somewhere() from None


def encoded_payload_of(values: dict[str, str]) -> bytes:
    """As REST requests are signed since 2026: names and values percent-encoded. Clients do either."""
    return "&".join([f"{quote(name, safe='')}={quote(values[name], safe='')}" for name in sorted(values)]).encode()


def answer(
    request_id: msgspec.Raw, result: Any, rate_limits: list[Any] | None
) -> dict[str, Any]:  # fmt: skip
    told: dict[str, Any] = {"id": request_id, "status": 200, "result": result}
    if rate_limits is not None:
        told["rateLimits"] = rate_limits
    return told


def refusal(
    request_id: msgspec.Raw, error: BinanceError, now_ms: int, rate_limits: list[Any] | None
) -> dict[str, Any]:  # fmt: skip
    body: Any = error.body
    if error.retry_after_s is not None:
        body.data = {"serverTime": now_ms, "retryAfter": now_ms + int(error.retry_after_s * 1000)}
    told: dict[str, Any] = {"id": request_id, "status": error.status, "error": body}
    if rate_limits is not None:
        told["rateLimits"] = rate_limits
    return told
