"""The rows behind identity, and the one place that knows their SQL. Every function takes a connection.

Errors that mean "not now" become UNAVAILABLE in `database()`; any other is a bug and stays one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from serve.auth.principal import Role
from serve.errors import ApiError, Code

DATABASE_TIMEOUT_S: Final = 5.0
MAX_SESSIONS_PER_USER: Final = 100
"""Bots tend to log in at every start and never out; the oldest sessions end."""

Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"
Pool: TypeAlias = "asyncpg.Pool[Any]"

_NOT_NOW: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)


class User(msgspec.Struct, frozen=True):
    user_id: int
    username: str
    email: str | None
    role: Role
    created_at: datetime
    disabled: bool
    password_hash: str | None


class RefreshRow(msgspec.Struct, frozen=True):
    session_id: int
    expires_at: datetime
    used: bool
    revoked: bool
    user: User


class SessionRow(msgspec.Struct, frozen=True):
    username: str
    role: Role
    revoked: bool
    disabled: bool


@asynccontextmanager
async def database(pool: Pool) -> AsyncIterator[PoolConnectionProxy[Any]]:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S), pool.acquire() as connection:
            yield connection
    except _NOT_NOW as error:
        raise ApiError(Code.UNAVAILABLE, "The identity store does not answer now. Try again.") from error


_USER_COLUMNS: Final = "user_id, username, email, role, created_at, disabled, password_hash"


def _user(row: asyncpg.Record) -> User:
    return User(
        user_id=row["user_id"],
        username=row["username"],
        email=row["email"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        disabled=row["disabled"],
        password_hash=row["password_hash"],
    )


async def find_user(connection: Connection, name: str) -> User | None:
    """By username, or by e-mail address: no username contains an @."""
    column = "email" if "@" in name else "username"
    query = f"select {_USER_COLUMNS} from users where lower({column}) = lower($1)"  # noqa: S608  no input
    row = await connection.fetchrow(query, name)
    return _user(row) if row else None


async def get_user(connection: Connection, user_id: int) -> User | None:
    query = f"select {_USER_COLUMNS} from users where user_id = $1"  # noqa: S608  no input
    row = await connection.fetchrow(query, user_id)
    return _user(row) if row else None


async def add_user(
    connection: Connection, username: str, email: str | None, password_hash: str | None, role: Role
) -> User:
    """Raises USERNAME_TAKEN, EMAIL_TAKEN."""
    query = f"""
        insert into users (username, email, password_hash, role) values ($1, $2, $3, $4)
        returning {_USER_COLUMNS}
    """  # noqa: S608  no input
    try:
        row = await connection.fetchrow(query, username, email, password_hash, str(role))
    except asyncpg.UniqueViolationError as error:
        taken = Code.EMAIL_TAKEN if error.constraint_name == "users_email_key" else Code.USERNAME_TAKEN
        raise ApiError(taken) from None
    assert row is not None
    return _user(row)


async def make_admin(connection: Connection, user_id: int, password_hash: str) -> None:
    await connection.execute(
        "update users set role = $2, password_hash = $3, disabled = false where user_id = $1",
        user_id,
        str(Role.ADMIN),
        password_hash,
    )


async def add_session(connection: Connection, user_id: int, address: str | None, expires_at: datetime) -> int:
    """Ends the user's oldest sessions when there are too many."""
    session_id: int = await connection.fetchval(
        "insert into sessions (user_id, address, expires_at) values ($1, $2, $3) returning session_id",
        user_id,
        address,
        expires_at,
    )
    await connection.execute(
        """
        update sessions set revoked_at = clock_timestamp() where session_id in (
            select session_id from sessions where user_id = $1 and revoked_at is null
            order by session_id desc offset $2)
        """,
        user_id,
        MAX_SESSIONS_PER_USER,
    )
    return session_id


async def add_refresh_token(connection: Connection, token_hash: bytes, session_id: int, expires_at: datetime) -> None:
    await connection.execute(
        """
        with renewed as (update sessions set expires_at = $3 where session_id = $2)
        insert into refresh_tokens (token_hash, session_id, expires_at) values ($1, $2, $3)
        """,
        token_hash,
        session_id,
        expires_at,
    )


async def lock_refresh_token(connection: Connection, token_hash: bytes) -> RefreshRow | None:
    """Two uses at the same time see each other: the second waits for the first to commit."""
    row = await connection.fetchrow(
        """
        select t.session_id, t.expires_at, t.used_at, s.revoked_at,
               u.user_id, u.username, u.email, u.role, u.created_at, u.disabled, u.password_hash
        from refresh_tokens t join sessions s using (session_id) join users u on u.user_id = s.user_id
        where t.token_hash = $1 for update of t
        """,
        token_hash,
    )
    if row is None:
        return None
    return RefreshRow(
        row["session_id"],
        row["expires_at"],
        row["used_at"] is not None,
        row["revoked_at"] is not None,
        _user(row),
    )


async def use_refresh_token(connection: Connection, token_hash: bytes) -> None:
    await connection.execute("update refresh_tokens set used_at = clock_timestamp() where token_hash = $1", token_hash)


async def get_session(connection: Connection, session_id: int, user_id: int) -> SessionRow | None:
    row = await connection.fetchrow(
        """
        select u.username, u.role, u.disabled, s.revoked_at from sessions s join users u using (user_id)
        where s.session_id = $1 and s.user_id = $2
        """,
        session_id,
        user_id,
    )
    if row is None:
        return None
    return SessionRow(row["username"], Role(row["role"]), row["revoked_at"] is not None, row["disabled"])


async def revoke_session(connection: Connection, session_id: int) -> None:
    await connection.execute(
        "update sessions set revoked_at = clock_timestamp() where session_id = $1 and revoked_at is null",
        session_id,
    )


async def revoke_sessions_of(connection: Connection, user_id: int) -> None:
    await connection.execute(
        "update sessions set revoked_at = clock_timestamp() where user_id = $1 and revoked_at is null",
        user_id,
    )


async def sessions_revoked_since(connection: Connection, since: datetime) -> tuple[datetime, frozenset[int]]:
    """The database's time now, and the sessions that ended after `since` of the same clock."""
    now: datetime = await connection.fetchval("select clock_timestamp()")
    rows = await connection.fetch("select session_id from sessions where revoked_at > $1", since)
    return now, frozenset(row["session_id"] for row in rows)


async def delete_expired(connection: Connection, before: datetime) -> int:
    """Sessions whose last refresh token expired before that time, with their tokens. Returns how many."""
    status: str = await connection.execute("delete from sessions where expires_at < $1", before)
    return int(status.rpartition(" ")[2])


async def audit(
    connection: Connection,
    action: str,
    *,
    user_id: int | None = None,
    address: str | None = None,
    detail: str | None = None,
) -> None:
    await connection.execute(
        "insert into audit_log (user_id, action, address, detail) values ($1, $2, $3, $4)",
        user_id,
        action,
        address,
        detail,
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
