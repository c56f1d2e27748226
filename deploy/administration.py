"""Work of the operator on a running exchange's database."""

import asyncpg

from serve.auth.identity import ensure_admin
from serve.errors import ApiError


async def make_admin(dsn: str, username: str, password: str) -> None:
    """ValueError says what is wrong with the name or the password."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
    try:
        await ensure_admin(pool, username, password)
    except ApiError as error:
        raise ValueError(error.message) from None
    finally:
        await pool.close()
