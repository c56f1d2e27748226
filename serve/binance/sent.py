"""A request's parameters as they were sent: names and texts, the signature, and the bytes that were signed.

Bytes are never written anew: a signature holds for what came over the wire and for nothing else. Pure.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from serve.binance.errors import BinanceError, duplicate, illegal_somewhere

MAX_QUERY_BYTES: Final = 32_768
MAX_PARAMETERS: Final = 512
_SIGNATURE: Final = b"signature="


class Sent(msgspec.Struct, gc=False):
    values: dict[str, str]
    """Percent-decoded, `signature` left out. What is in the query string and in the body: as in the query string."""
    signature: str | None
    payload: bytes
    """What was signed: query string and body as sent, without the signature."""


def sent(query: bytes, body: bytes) -> Sent:
    """Raises -1100, -1101."""
    values: dict[str, str] = {}
    if len(query) > MAX_QUERY_BYTES:
        raise BinanceError(-1100, "Illegal characters found in a parameter.", 414)
    if query:
        _read(query, values)
    if body:
        if values:
            below: dict[str, str] = {}
            _read(body, below)
            values = below | values
        else:
            _read(body, values)
    if len(values) > MAX_PARAMETERS:
        raise illegal_somewhere()
    signature = values.pop("signature", None)
    payload = query + body if signature is None else _unsigned(query) + _unsigned(body)
    return Sent(values, signature, payload)


def _read(raw: bytes, values: dict[str, str]) -> None:
    plain = b"%" not in raw and b"+" not in raw
    try:
        pairs = raw.decode("ascii" if plain else "utf-8").split("&")
        named = [pair.partition("=") for pair in pairs if pair]
        if not plain:
            named = [(_decoded(name), "=", _decoded(value)) for name, _, value in named]
    except UnicodeError:
        raise illegal_somewhere() from None
    values.update([(name, value) for name, _, value in named])
    if len(values) != len(named):
        raise duplicate()


def _decoded(part: str) -> str:
    if "%" not in part and "+" not in part:
        return part
    return unquote_to_bytes(part.replace("+", " ")).decode()


def _unsigned(raw: bytes) -> bytes:
    at = raw.rfind(_SIGNATURE)
    if at < 0:
        return raw
    if b"&" not in raw[at:] and (at == 0 or raw[at - 1] == 38):  # last, as nearly everybody sends it
        return raw[: max(at - 1, 0)]
    return b"&".join(pair for pair in raw.split(b"&") if not pair.startswith(_SIGNATURE))
