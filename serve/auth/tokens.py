"""Tokens: the signed access token (JWT, HS256 and nothing else) and the opaque refresh token.

An access token proves a session for a quarter of an hour; only a session's row says whether it still lives.
A refresh token is a random number, of which the database keeps a hash.
"""

import hashlib
import secrets
from typing import Any, Final

import jwt
import msgspec

from serve.auth.principal import SIGNED_IN, Role
from serve.errors import ApiError, Code

ALGORITHM: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
ISSUER: Final = "raypit"
AUDIENCE: Final = "raypit-api"
ACCESS_LIFETIME_S: Final = 15 * 60
REFRESH_LIFETIME_S: Final = 30 * 24 * 3600
MAX_TOKEN_CHARS: Final = 1_024
CLOCK_SKEW_S: Final = 5
"""Between gateways of one Raypit."""

_CLAIMS: Final = ("iss", "aud", "sub", "sid", "role", "iat", "exp", "jti")


class Claims(msgspec.Struct, frozen=True):
    user_id: int
    session_id: int
    role: Role
    expires_at: int


class AccessTokens:
    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret has {len(secret)} bytes; at least {MIN_SECRET_BYTES} are needed")
        self._secret = secret
        # Every token of ours begins with this header. One that names another algorithm, a key id or a key's
        # address is not ours, and needs no look at its signature.
        self._header = jwt.encode({}, secret, ALGORITHM).partition(".")[0] + "."

    def issue(self, user_id: int, session_id: int, role: Role, now_s: float) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "role": str(role),
            "iat": int(now_s),
            "exp": int(now_s) + ACCESS_LIFETIME_S,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._secret, ALGORITHM)

    def verify(self, token: str, now_s: float) -> Claims:
        """Raises UNAUTHENTICATED, or TOKEN_EXPIRED for one that was good."""
        if len(token) > MAX_TOKEN_CHARS or not token.startswith(self._header):
            raise ApiError(Code.UNAUTHENTICATED)
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # The times are compared below, with the clock of this module's caller.
                options={
                    "require": list(_CLAIMS),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            claims = _claims(found, now_s)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise ApiError(Code.UNAUTHENTICATED) from None
        if now_s >= claims.expires_at:
            raise ApiError(Code.TOKEN_EXPIRED)
        return claims


def _claims(found: dict[str, Any], now_s: float) -> Claims:
    role, issued_at, expires_at = Role(found["role"]), found["iat"], found["exp"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise TypeError
    if role not in SIGNED_IN or issued_at > now_s + CLOCK_SKEW_S or expires_at > issued_at + ACCESS_LIFETIME_S:
        raise ValueError
    return Claims(_identifier(found["sub"]), _identifier(found["sid"]), role, expires_at)


def _identifier(text: object) -> int:
    if not isinstance(text, str) or not text.isdecimal() or len(text) > 18:
        raise ValueError
    return int(text)


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def refresh_hash(token: str) -> bytes:
    """What is stored. The token is random and long: a plain hash cannot be searched."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
