"""The HTTP face of identity: auth/register, auth/login, auth/refresh, auth/logout, auth/me."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
import structlog

from serve.auth.identity import Identity
from serve.auth.passwords import MAX_CHARS, MIN_CHARS
from serve.auth.principal import SIGNED_IN, TRADERS
from serve.auth.profile import EMAIL_PATTERN, MAX_EMAIL_CHARS, USERNAME_PATTERN, Profile, SignedIn
from serve.errors import ApiError, Code
from serve.http.endpoint import Context, Endpoint

OPEN_ACCOUNT_TIMEOUT_S: Final = 5.0

OnRegistered = Callable[[int], Awaitable[None]]
"""Opens the trading account of a user id unless it is open."""
SelfService = Callable[[str], Awaitable[Callable[[int], Awaitable[None]]]]
"""By a profile's name: what gives it to a user id. ApiError unless everybody may choose it."""

log = structlog.get_logger("raypit.auth")

Password = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_CHARS,
        description=f"{MIN_CHARS} to {MAX_CHARS} characters; not your name, none of the most common.",
        examples=["correct horse battery"],
    ),
]


class Register(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    username: Annotated[
        str,
        msgspec.Meta(
            pattern=USERNAME_PATTERN,
            description="3 to 32 letters, digits or `.` `_` `-`; unique whatever the case.",
            examples=["alice"],
        ),
    ]
    password: Password
    email: (
        Annotated[
            str,
            msgspec.Meta(pattern=EMAIL_PATTERN, max_length=MAX_EMAIL_CHARS, examples=["alice@example.org"]),
        ]
        | None
    ) = None
    profile: (
        Annotated[
            str,
            msgspec.Meta(max_length=32, description="A profile that everybody may choose.", examples=["retail"]),
        ]
        | None
    ) = None


class Login(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    username: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=MAX_EMAIL_CHARS,
            description="The username or the e-mail address, in any case.",
            examples=["alice"],
        ),
    ]
    password: Annotated[str, msgspec.Meta(max_length=MAX_CHARS, examples=["correct horse battery"])]


class Refresh(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200, examples=["q3Zk…"])]


def auth_endpoints(
    identity: Identity, on_registered: OnRegistered, self_service: SelfService | None = None
) -> list[Endpoint]:
    async def register(context: Context) -> SignedIn:
        body: Register = context.body
        give = None if body.profile is None else await _chosen(self_service, body.profile)
        signed_in = await identity.register(body.username, body.password, body.email, context.client_address)
        if not await _account_opened(on_registered, signed_in.user.user_id):
            raise ApiError(Code.ACCOUNT_UNAVAILABLE)
        if give is not None:
            await give(signed_in.user.user_id)
        return signed_in

    async def login(context: Context) -> SignedIn:
        body: Login = context.body
        signed_in = await identity.login(body.username, body.password, context.client_address)
        if signed_in.user.role in TRADERS:
            # Whoever cannot trade at this moment may still look, and an admin mend it.
            await _account_opened(on_registered, signed_in.user.user_id)
        return signed_in

    async def refresh(context: Context) -> SignedIn:
        body: Refresh = context.body
        return await identity.refresh(body.refresh_token, context.client_address)

    async def logout(context: Context) -> None:
        await identity.logout(context.user, context.client_address)

    async def me(context: Context) -> Profile:
        return await identity.me(context.user)

    tags = ("auth",)
    return [
        Endpoint(
            "POST",
            "auth/register",
            register,
            request=Register,
            response=SignedIn,
            status=201,
            summary="Register a user",
            description="Opens a trading account with virtual money and logs you in.",
            tags=tags,
            errors=(
                Code.USERNAME_TAKEN,
                Code.EMAIL_TAKEN,
                Code.WEAK_PASSWORD,
                Code.TOO_MANY_ATTEMPTS,
                Code.UNAVAILABLE,
                Code.ACCOUNT_UNAVAILABLE,
            ),
        ),
        Endpoint(
            "POST",
            "auth/login",
            login,
            request=Login,
            response=SignedIn,
            summary="Log in",
            description="Opens a session. After five wrong passwords within a minute you have to wait.",
            tags=tags,
            errors=(Code.INVALID_CREDENTIALS, Code.TOO_MANY_ATTEMPTS, Code.UNAVAILABLE),
        ),
        Endpoint(
            "POST",
            "auth/refresh",
            refresh,
            request=Refresh,
            response=SignedIn,
            summary="Renew a session",
            description=(
                "Gives a new pair of tokens for a refresh token. Each refresh token is good once; using one "
                "again ends the session, since somebody must have copied it."
            ),
            tags=tags,
            errors=(Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED, Code.SESSION_REVOKED, Code.UNAVAILABLE),
        ),
        Endpoint(
            "POST",
            "auth/logout",
            logout,
            status=204,
            roles=SIGNED_IN,
            summary="Log out",
            description="Ends the session the token belongs to, with its refresh token.",
            tags=tags,
        ),
        Endpoint(
            "GET",
            "auth/me",
            me,
            response=Profile,
            roles=SIGNED_IN,
            summary="Who am I",
            description="The user behind the access token.",
            tags=tags,
        ),
    ]


async def _chosen(self_service: SelfService | None, name: str) -> Callable[[int], Awaitable[None]]:
    if self_service is None:
        raise ApiError(Code.VALIDATION, "There is no profile to choose; leave it out.", "profile")
    return await self_service(name)


async def _account_opened(open_account: OnRegistered, user_id: int) -> bool:
    try:
        async with asyncio.timeout(OPEN_ACCOUNT_TIMEOUT_S):
            await open_account(user_id)
    except Exception as error:
        # The user exists by now, and the next login tries again.
        log.warning("account_not_opened", user_id=user_id, error=type(error).__name__)
        return False
    return True
