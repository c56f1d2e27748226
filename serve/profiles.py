"""Profiles of users: read, set, named. What is set goes through the account's journal first, then to the row that tells it.

Knows no HTTP: the command line works with it as well.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from market.profile import TradingProfile
from serve.auth import store
from serve.auth.principal import Role
from serve.auth.store import Connection, Pool, User, database
from serve.errors import ApiError, Code

log = structlog.get_logger("raypit.profiles")

EVERYBODYS: Final = TradingProfile()

Journal = Callable[[int, bytes], Awaitable[None]]
"""Has the account of a user id journal a profile; opens the account before where it is not open."""

_decode: Final = msgspec.json.Decoder(TradingProfile).decode


class Stored(msgspec.Struct, frozen=True):
    profile: TradingProfile
    name: str | None
    """Of the named one that it was copied from."""


class Named(msgspec.Struct, frozen=True):
    name: str
    profile: TradingProfile
    self_service: bool


class Profiles:
    def __init__(self, pool: Callable[[], Pool], journal: Journal) -> None:
        self._pool = pool
        self._journal = journal
        self._known: dict[int, TradingProfile] = {}
        self._newest: Any = None

    # -- users ----------------------------------------------------------------------------------------------------

    def known(self, user_id: int) -> TradingProfile:
        """As this process saw it last (`refresh`)."""
        return self._known.get(user_id, EVERYBODYS)

    async def refresh(self) -> None:
        """What others set."""
        async with database(self._pool()) as connection:
            rows = await connection.fetch(
                "select user_id, profile, profile_changed_at from users where profile_changed_at is not null "
                "and ($1::timestamptz is null or profile_changed_at > $1 - interval '10 seconds')",
                self._newest,
            )
        for row in rows:
            self._known[row["user_id"]] = _decode(row["profile"])
            if self._newest is None or row["profile_changed_at"] > self._newest:
                self._newest = row["profile_changed_at"]

    async def find(self, name: str) -> User:
        """ApiError: NOT_FOUND; VALIDATION for a simulated participant."""
        async with database(self._pool()) as connection:
            user = await store.find_user(connection, name)
        if user is None:
            raise ApiError(Code.NOT_FOUND, f"There is no user {name}.", "name")
        if user.role is Role.AGENT:
            raise ApiError(Code.VALIDATION, f"{name} is a simulated participant and has no profile.", "name")
        return user

    async def of(self, user_id: int) -> Stored:
        async with database(self._pool()) as connection:
            row = await connection.fetchrow("select profile, profile_name from users where user_id = $1", user_id)
        if row is None or row["profile"] is None:
            return Stored(EVERYBODYS, None)
        return Stored(_decode(row["profile"]), row["profile_name"])

    async def set(
        self, user_id: int, profile: TradingProfile, name: str | None = None, by: int | None = None
    ) -> Stored:
        """Holds for commands from now on. ApiError when the account does not answer: it may hold and not be told yet."""
        document = msgspec.json.encode(profile)
        await self._journal(user_id, document)
        async with database(self._pool()) as connection, connection.transaction():
            await connection.execute(
                "update users set profile = $2, profile_name = $3, profile_changed_at = clock_timestamp() where user_id = $1",
                user_id, document.decode(), name,
            )  # fmt: skip
            detail = f"user {user_id}: {name or 'own'}"
            await store.audit(connection, "profile", user_id=user_id if by is None else by, detail=detail)
        self._known[user_id] = profile
        return Stored(profile, name)

    # -- named ones -----------------------------------------------------------------------------------------------

    async def named(self, name: str, field: str = "name", to_register: bool = False) -> Named:
        """ApiError names the field; `to_register`: only what everybody may choose."""
        async with database(self._pool()) as connection:
            found = await _named(connection, name)
        if found is None or (to_register and not found.self_service):
            if to_register:
                raise ApiError(Code.VALIDATION, "There is no such profile to choose; leave it out.", field)
            code = Code.NOT_FOUND if field == "name" else Code.VALIDATION
            raise ApiError(code, f"There is no profile {name}; make it with PUT /api/admin/profiles/{name}.", field)
        return found

    async def put(self, name: str, profile: TradingProfile, self_service: bool) -> Named:
        """Accounts that took a copy before keep it."""
        async with database(self._pool()) as connection:
            await connection.execute(
                "insert into profiles (name, document, self_service) values ($1, $2, $3) on conflict (name) do update "
                "set document = excluded.document, self_service = excluded.self_service, changed_at = clock_timestamp()",
                name, msgspec.json.encode(profile).decode(), self_service,
            )  # fmt: skip
        return Named(name, profile, self_service)

    async def delete(self, name: str) -> None:
        async with database(self._pool()) as connection:
            done = await connection.execute("delete from profiles where name = $1", name)
        if done == "DELETE 0":
            raise ApiError(Code.NOT_FOUND, f"There is no profile {name}.", "name")


async def _named(connection: Connection, name: str) -> Named | None:
    row = await connection.fetchrow("select name, document, self_service from profiles where name = $1", name)
    return None if row is None else Named(row["name"], _decode(row["document"]), row["self_service"])
