"""From bytes to typed values: bodies, query strings, path parameters.

Every failure is an ApiError that names the field.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Receive

from serve.amounts import float_hook
from serve.errors import ApiError, Code
from serve.http.endpoint import JSON, MSGPACK

MAX_BODY_BYTES: Final = 1 << 20
"""The largest honest body is a batch of some thousand orders."""

BODY_TIMEOUT_S: Final = 10.0
"""From the first wait to the last byte: a client that trickles does not hold its place for ever."""

MAX_QUERY_BYTES: Final = 8_192
MAX_QUERY_PARAMETERS: Final = 64


class ClientGone(Exception):
    """The connection closed before the body was complete: nobody is left to answer."""


class BodyDecoder:
    """Typed decoders of one struct, made once."""

    __slots__ = ("_json", "_msgpack")

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        self._json = msgspec.json.Decoder(struct, float_hook=float_hook)
        self._msgpack = msgspec.msgpack.Decoder(struct)

    def decode(self, content: bytes, content_type: bytes | None) -> Any:
        try:
            if content_type is None or content_type == b"application/json":
                return self._json.decode(content)
            media_type = content_type.partition(b";")[0].strip().lower().decode("latin-1")
            if media_type == JSON:
                return self._json.decode(content)
            if media_type == MSGPACK:
                return self._msgpack.decode(content)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        except msgspec.DecodeError as error:
            text = "A body is needed." if not content else f"{error}."
            raise ApiError(Code.MALFORMED_BODY, text) from None
        except UnicodeDecodeError:
            raise ApiError(Code.MALFORMED_BODY, "The body is not valid UTF-8.") from None
        except RecursionError:
            raise ApiError(Code.MALFORMED_BODY, "The body is nested too deeply.") from None
        raise ApiError(Code.UNSUPPORTED_MEDIA_TYPE)


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit():
        raise ApiError(Code.MALFORMED_BODY, "Content-Length is not a number.")
    if len(declared) > len(str(MAX_BODY_BYTES)) or int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _receive_all(receive)
    except TimeoutError:
        raise ApiError(Code.REQUEST_TIMEOUT) from None


async def _receive_all(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def _too_large() -> ApiError:
    return ApiError(Code.BODY_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes.")


def parse_query(raw: bytes) -> dict[str, str]:
    """Names and values, percent-decoded; a name that comes twice is an error."""
    if len(raw) > MAX_QUERY_BYTES:
        raise ApiError(Code.VALIDATION, f"The query string is longer than {MAX_QUERY_BYTES} bytes.")
    found: dict[str, str] = {}
    if not raw:
        return found
    pairs = raw.split(b"&")
    if len(pairs) > MAX_QUERY_PARAMETERS:
        raise ApiError(Code.VALIDATION, f"More than {MAX_QUERY_PARAMETERS} query parameters.")
    plain = b"%" not in raw and b"+" not in raw
    for pair in pairs:
        if not pair:
            continue
        name_bytes, _, value_bytes = pair.partition(b"=")
        try:
            name = name_bytes.decode() if plain else _unquoted(name_bytes)
            value = value_bytes.decode() if plain else _unquoted(value_bytes)
        except UnicodeDecodeError:
            raise ApiError(Code.VALIDATION, "The query string is not percent-encoded UTF-8.") from None
        if name in found:
            raise ApiError(Code.VALIDATION, "The parameter is given twice.", name)
        found[name] = value
    return found


def _unquoted(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode()


def convert(values: dict[str, str], struct: type[msgspec.Struct]) -> Any:
    """Text to the struct's types: "10" may become 10, "true" True."""
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def refuse_parameters(raw: bytes) -> None:
    """For an endpoint without query parameters."""
    for name in parse_query(raw):
        raise ApiError(Code.VALIDATION, "This operation has no such parameter.", name)


def invalid(error: msgspec.ValidationError) -> ApiError:
    text, field = split_validation_message(str(error))
    return ApiError(Code.VALIDATION, f"{text}.", field)


def split_validation_message(message: str) -> tuple[str, str | None]:
    """msgspec's "Expected `int`, got `str` - at `$.legs[1].price`" -> the text and "legs[1].price".

    Missing and unknown fields are named in the text and only their owner in the path; the field is the two
    joined.
    """
    text, found, path = message.rpartition(" - at `")
    if not found:
        text, path = message, ""
    path = path.removeprefix("key` in `").removesuffix("`").removeprefix("$").removeprefix(".")
    for phrase in ("missing required field `", "contains unknown field `"):
        _, found, name = text.partition(phrase)
        if found:
            name = name.removesuffix("`")
            path = f"{path}.{name}" if path else name
            break
    return text, path or None
