"""Which of PostgreSQL's processes does what."""

import asyncio

import asyncpg

from bench.exchange import Exchange
from deploy import state_file

_ROLES = (
    "SELECT pid, CASE WHEN backend_type = 'client backend' THEN 'backend of ' || coalesce("
    "nullif(regexp_replace(application_name, '^raypit-(.*)-[0-9]+$', '\\1'), ''), 'others') ELSE backend_type END "
    "FROM pg_stat_activity"
)


def roles(exchange: Exchange) -> dict[int, str]:
    """By process: `backend of book-0` (of the connection's name), `walwriter`, `checkpointer`."""
    state = None if exchange.data is None else state_file.read(exchange.data)
    return {} if state is None else asyncio.run(_asked(state.pg_dsn))


async def _asked(dsn: str) -> dict[int, str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0]: row[1] for row in await connection.fetch(_ROLES)}
    finally:
        await connection.close()
