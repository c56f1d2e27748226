"""Bytes that the books' journals take while orders come: payloads as they are stored, from PostgreSQL."""

import asyncpg

_NEWEST = (
    "SELECT stream, coalesce((SELECT max(seq) FROM journal WHERE journal.stream = journal_stream.stream), 0) AS seq "
    "FROM journal_stream WHERE stream LIKE 'book-%'"
)
_BYTES = (
    "SELECT coalesce(sum(octet_length(payload)), 0)::bigint FROM unnest($1::text[], $2::bigint[], $3::bigint[]) "
    "AS rows (of, after, until) JOIN journal ON stream = of AND seq > after AND seq <= until"
)


async def newest(dsn: str) -> dict[str, int]:
    """Sequence number by stream; without a DSN nothing."""
    if not dsn:
        return {}
    connection = await asyncpg.connect(dsn)
    try:
        return {row["stream"]: row["seq"] for row in await connection.fetch(_NEWEST)}
    finally:
        await connection.close()


async def between(dsn: str, before: dict[str, int], after: dict[str, int]) -> int:
    """Bytes of the rows that came."""
    if not dsn:
        return 0
    connection = await asyncpg.connect(dsn)
    try:
        streams = list(after)
        return int(await connection.fetchval(_BYTES, streams, [before.get(k, 0) for k in streams], [*after.values()]))
    finally:
        await connection.close()
