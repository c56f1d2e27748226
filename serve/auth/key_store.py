"""The rows of API keys, and the one place that knows their SQL. Every function takes a connection."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from serve.auth.key_material import KeyKind
from serve.auth.principal import Role
from serve.auth.store import Connection


class KeyRow(msgspec.Struct, frozen=True):
    api_key: str
    user_id: int
    username: str
    role: Role
    kind: KeyKind
    label: str
    sealed_secret: bytes | None
    public_key: str | None
    can_read: bool
    can_trade: bool
    addresses: list[str]
    created_at: datetime
    last_used_at: datetime | None
    last_used_from: str | None


_SELECT: Final = (
    "select k.api_key, k.user_id, u.username, u.role, k.kind, k.label, k.sealed_secret, k.public_key, k.can_read, "
    "k.can_trade, k.addresses, k.created_at, k.last_used_at, k.last_used_from "
    "from api_keys k join users u using (user_id) where k.revoked_at is null "
)


def _row(row: "asyncpg.Record | None") -> KeyRow | None:
    return None if row is None else msgspec.convert(dict(row), KeyRow)


async def find(connection: Connection, api_key: str) -> KeyRow | None:
    """A key that may be used: not revoked, its user not disabled."""
    return _row(await connection.fetchrow(_SELECT + "and k.api_key = $1 and not u.disabled", api_key))


async def of_user(connection: Connection, user_id: int | None) -> list[KeyRow]:
    """Oldest first; None: of everybody."""
    rows = await connection.fetch(
        _SELECT + "and ($1::bigint is null or k.user_id = $1) order by k.created_at, k.api_key", user_id
    )
    return [found for row in rows if (found := _row(row))]


async def count(connection: Connection, user_id: int) -> int:
    # The user's row is locked: two requests at once cannot both take the last place.
    await connection.execute("select 1 from users where user_id = $1 for update", user_id)
    found: int = await connection.fetchval(
        "select count(*) from api_keys where user_id = $1 and revoked_at is null", user_id
    )
    return found


async def add(
    connection: Connection, api_key: str, user_id: int, kind: KeyKind, label: str, sealed_secret: bytes | None,
    public_key: str | None, can_read: bool, can_trade: bool, addresses: Sequence[str],
) -> None:  # fmt: skip
    await connection.execute(
        "insert into api_keys (api_key, user_id, kind, label, sealed_secret, public_key, can_read, can_trade, addresses) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        api_key, user_id, str(kind), label, sealed_secret, public_key, can_read, can_trade, list(addresses),
    )  # fmt: skip


async def change(
    connection: Connection, api_key: str, user_id: int, label: str | None, can_read: bool | None,
    can_trade: bool | None, addresses: Sequence[str] | None,
) -> bool:  # fmt: skip
    """What is None stays. False when there is no such key of this user."""
    done: str = await connection.execute(
        "update api_keys set label = coalesce($3, label), can_read = coalesce($4, can_read), "
        "can_trade = coalesce($5, can_trade), addresses = coalesce($6, addresses), changed_at = clock_timestamp() "
        "where api_key = $1 and user_id = $2 and revoked_at is null",
        api_key, user_id, label, can_read, can_trade, None if addresses is None else list(addresses),
    )  # fmt: skip
    return done.endswith(" 1")


async def revoke(connection: Connection, api_key: str, user_id: int | None) -> bool:
    """False when there is no such key (of this user)."""
    done: str = await connection.execute(
        "update api_keys set revoked_at = clock_timestamp(), changed_at = clock_timestamp() "
        "where api_key = $1 and ($2::bigint is null or user_id = $2) and revoked_at is null",
        api_key, user_id,
    )  # fmt: skip
    return done.endswith(" 1")


async def changed_since(connection: Connection, since: datetime) -> tuple[datetime, frozenset[str]]:
    """The database's time now, and the keys that changed after `since` of the same clock or whose user is disabled."""
    now: datetime = await connection.fetchval("select clock_timestamp()")
    rows = await connection.fetch(
        "select api_key from api_keys where changed_at > $1 "
        "union select api_key from api_keys join users using (user_id) where disabled",
        since,
    )
    return now, frozenset(row["api_key"] for row in rows)


async def used(connection: Connection, uses: Collection[tuple[str, datetime, str | None]]) -> None:
    """(key, when, from where) each."""
    await connection.executemany(
        "update api_keys set last_used_at = $2, last_used_from = $3 "
        "where api_key = $1 and (last_used_at is null or last_used_at < $2)",
        uses,
    )
