"""Confirmations: what turns a proposal into an order, once, within a minute, and only for the user it was made for.

A confirmation is a signed token that holds the whole order: nothing else can be placed with it. Who has used it is kept in
the database, so that it is good once whichever gateway it reaches.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import jwt
import msgspec

from serve.auth.store import Pool, database
from serve.errors import ApiError, Code

LIFETIME_S: Final = 60
KEPT_S: Final = 10 * LIFETIME_S
ALGORITHM: Final = "HS256"
AUDIENCE: Final = "raypit-confirmation"
_CLAIMS: Final = ("aud", "sub", "exp", "jti", "act")

GONE: Final = "The confirmation is not valid (any more): it is good once, for 60 s, for who was given it. Ask again."


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done on confirmation."""

    kind: Literal["place", "cancel", "cancel_all"]
    side: Literal["BUY", "SELL"] | None = None
    order: dict[str, Any] | None = None
    """The body of `trading/buy` or `trading/sell`, its client_order_id included."""
    order_id: int | None = None
    symbol: str | None = None


class Confirmations:
    def __init__(self, pool: Callable[[], Pool], secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._pool = pool
        # A key of its own: no access token is a confirmation, and no confirmation an access token.
        self._key = hmac.digest(secret, b"raypit assistant confirmations", hashlib.sha256)
        self._clock = clock

    def issue(self, user_id: int, action: Action) -> tuple[str, int]:
        """The token, and when it expires in ms since the epoch."""
        expires = int(self._clock()) + LIFETIME_S
        claims = {
            "aud": AUDIENCE, "sub": str(user_id), "exp": expires, "jti": secrets.token_hex(16),
            "act": msgspec.to_builtins(action),
        }  # fmt: skip
        return jwt.encode(claims, self._key, ALGORITHM), expires * 1000

    async def use(self, user_id: int, token: str) -> Action:
        """What it confirms, from now on used. VALIDATION, whatever is wrong with it; UNAVAILABLE: not used."""
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], audience=AUDIENCE,
                options={"require": list(_CLAIMS), "verify_exp": False},
            )  # fmt: skip
            action = msgspec.convert(claims["act"], Action)
            used = bytes.fromhex(claims["jti"])
            expires = int(claims["exp"])
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError):
            raise _refused() from None
        if claims["sub"] != str(user_id) or self._clock() >= expires:
            raise _refused()
        async with database(self._pool()) as connection:
            row = await connection.fetchrow(
                "insert into used_confirmations (id, user_id) values ($1, $2) on conflict do nothing returning id",
                used, user_id,
            )  # fmt: skip
            await connection.execute(
                "delete from used_confirmations where used_at < clock_timestamp() - make_interval(secs => $1)", KEPT_S
            )
        if row is None:
            raise _refused()
        return action


def _refused() -> ApiError:
    return ApiError(Code.VALIDATION, GONE, "confirm")
