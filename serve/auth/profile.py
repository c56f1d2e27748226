"""What identity tells about a user and a session, and what a name may look like."""

import re
from typing import Annotated, Final

import msgspec

from serve.auth.principal import Role
from serve.auth.store import User
from serve.errors import ApiError, Code

USERNAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$"
EMAIL_PATTERN: Final = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$"
)
MAX_EMAIL_CHARS: Final = 254

USERNAME = re.compile(USERNAME_PATTERN)
EMAIL = re.compile(EMAIL_PATTERN)


class Profile(msgspec.Struct, frozen=True):
    user_id: Annotated[int, msgspec.Meta(examples=[7])]
    username: Annotated[str, msgspec.Meta(examples=["alice"])]
    email: Annotated[str | None, msgspec.Meta(examples=["alice@example.org"])]
    role: Annotated[Role, msgspec.Meta(examples=["user"])]
    created_at: Annotated[str, msgspec.Meta(description="UTC, ISO 8601.", examples=["2026-11-01T09:00:00.000000Z"])]


class SignedIn(msgspec.Struct, frozen=True):
    """A session's tokens and whose it is."""

    access_token: Annotated[str, msgspec.Meta(description="For the Authorization header.", examples=["eyJhbGciOi…"])]
    token_type: Annotated[str, msgspec.Meta(examples=["Bearer"])]
    expires_in: Annotated[int, msgspec.Meta(description="Seconds the access token lives.", examples=[900])]
    refresh_token: Annotated[str, msgspec.Meta(description="Good once, for auth/refresh.", examples=["q3Zk…"])]
    refresh_expires_in: Annotated[
        int, msgspec.Meta(description="Seconds the refresh token lives.", examples=[2_592_000])
    ]
    user: Profile


def profile_of(user: User) -> Profile:
    created_at = user.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Profile(user.user_id, user.username, user.email, user.role, created_at)


def check_names(username: str, email: str | None) -> None:
    """Raises VALIDATION. Stricter than a pattern in a schema: there `$` lets a final line feed pass."""
    if not USERNAME.fullmatch(username):
        text = "3 to 32 letters, digits or . _ - and the first one a letter or digit."
        raise ApiError(Code.VALIDATION, text, "username")
    if email is not None and (len(email) > MAX_EMAIL_CHARS or not EMAIL.fullmatch(email)):
        raise ApiError(Code.VALIDATION, "This is not an e-mail address.", "email")
