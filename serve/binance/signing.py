"""Who sent a request, and when: signatures and timestamps. Wall-clock time always, whatever time the market has.

Pure: keys, bytes and the time are given.
"""

import base64
import binascii
import hmac
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from serve.auth.api_keys import Key
from serve.auth.key_material import KeyKind
from serve.binance.errors import (
    AHEAD_OF_TIME,
    BAD_RECV_WINDOW,
    BAD_SIGNATURE,
    OUTSIDE_WINDOW,
    BinanceError,
    empty,
    illegal,
    missing,
    too_precise,
)

HEX_RANGE: Final = "^[A-Fa-f0-9]{64}$"
LONG_RANGE: Final = "^[0-9]{1,20}$"
RECV_WINDOW_RANGE: Final = "^[0-9]{1,20}(\\.[0-9]{1,3})?$"
DEFAULT_RECV_WINDOW_US: Final = 5_000_000
MAX_RECV_WINDOW_US: Final = 60_000_000
MAX_AHEAD_US: Final = 1_000_000
FIRST_MICROSECOND: Final = 10**14
"""A timestamp from here on counts microseconds: as milliseconds it would be the year 5138."""

_HEX: Final = re.compile(HEX_RANGE)
_PADDING: Final = PKCS1v15()
_SHA256: Final = SHA256()


def check_signature(key: Key, payload: bytes, signature: str) -> None:
    """Raises -1100 (HMAC: not hexadecimal), -1022."""
    if key.kind is KeyKind.HMAC:
        if not _HEX.fullmatch(signature):
            raise illegal("signature", HEX_RANGE)
        if not hmac.compare_digest(hmac.digest(key.secret, payload, "sha256"), bytes.fromhex(signature)):
            raise BinanceError(*BAD_SIGNATURE)
        return
    try:
        proof = base64.b64decode(signature.replace(" ", "+"), validate=True)  # a plus that was not encoded
        if isinstance(key.public_key, Ed25519PublicKey):
            key.public_key.verify(proof, payload)
        else:
            assert isinstance(key.public_key, RSAPublicKey)
            key.public_key.verify(proof, payload, _PADDING, _SHA256)
    except (binascii.Error, ValueError, InvalidSignature):
        raise BinanceError(*BAD_SIGNATURE) from None


def microseconds(name: str, text: str) -> int:
    """A time in milliseconds or microseconds. Raises -1100."""
    if not (text.isdigit() and text.isascii() and len(text) <= 20):
        raise illegal(name, LONG_RANGE)
    value = int(text)
    return value if value >= FIRST_MICROSECOND else value * 1000


def check_time(values: dict[str, str], now_us: int) -> int:
    """Takes `timestamp` and `recvWindow` out of the values; returns how many. Raises -1102, -1105, -1100, -1131, -1021."""
    text = values.pop("timestamp", None)
    if text is None:
        raise missing("timestamp")
    if not text:
        raise empty("timestamp")
    stamp = microseconds("timestamp", text)
    window, read = DEFAULT_RECV_WINDOW_US, 1
    given = values.pop("recvWindow", None)
    if given is not None:
        window, read = _recv_window(given), 2
    if stamp >= now_us + MAX_AHEAD_US:
        raise BinanceError(*AHEAD_OF_TIME)
    if now_us - stamp > window:
        raise BinanceError(*OUTSIDE_WINDOW)
    return read


def _recv_window(text: str) -> int:
    if not text:
        raise empty("recvWindow")
    whole, _, part = text.partition(".")
    if not (whole.isdigit() and whole.isascii() and len(whole) <= 20 and (part.isdigit() or not part)):
        raise illegal("recvWindow", RECV_WINDOW_RANGE)
    if len(part) > 3:
        raise too_precise("recvWindow")
    window = int(whole) * 1000 + int(part.ljust(3, "0"))
    if window > MAX_RECV_WINDOW_US:
        raise BinanceError(*BAD_RECV_WINDOW)
    return window
