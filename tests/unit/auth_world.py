"""A world for the tests of identity: a real PostgreSQL, clocks set by hand, an application in process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from starlette.applications import Starlette

from deploy.postgres import EmbeddedPostgres
from serve.auth.endpoints import auth_endpoints
from serve.auth.identity import Identity, IdentityLimits
from serve.auth.passwords import Passwords
from serve.auth.principal import ADMINS, SIGNED_IN, TRADERS
from serve.http import Context, Endpoint, build_app
from tests.unit.asgi import Answer, call

_FOLDER: Final = Path(__file__).parents[2] / "deploy" / "migrations"
MIGRATIONS: Final = tuple(_FOLDER / f"{name}.sql" for name in ("0002_identity", "0005_api_keys", "0010_profiles"))
SECRET: Final = bytes(range(32))
PASSWORD: Final = "correct horse battery"


def cheap_passwords() -> Passwords:
    """Argon2id at its cheapest: these tests hash some hundred times."""
    return Passwords(memory_kib=8, passes=1)


@contextmanager
def database_server(folder: Path) -> Iterator[str]:
    server = EmbeddedPostgres(folder, {"fsync": "off", "synchronous_commit": "off"})
    try:
        yield server.start()
    finally:
        server.stop()


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Name(msgspec.Struct):
    username: str


async def name(context: Context) -> Name:
    return Name(context.user.username)


class World:
    """`wall` and `monotonic` move only by `pass_time`."""

    def __init__(self, pool: "asyncpg.Pool[Any]", limits: IdentityLimits | None = None) -> None:
        self.pool = pool
        self.wall = Clock(1_800_000_000.0)
        self.monotonic = Clock(1_000.0)
        self.opened: list[int] = []
        self.opening_fails = False
        self.limits = limits
        self.passwords = cheap_passwords()
        self.identity, self.app = self.gateway()

    def gateway(self) -> tuple[Identity, Starlette]:
        """Another gateway over the same database."""
        identity = Identity(
            self.pool,
            SECRET,
            limits=self.limits,
            passwords=self.passwords,
            clock=self.wall,
            monotonic=self.monotonic,
        )
        endpoints = [
            *auth_endpoints(identity, self.open_account),
            Endpoint("GET", "for/everyone", name, response=Name, roles=SIGNED_IN),
            Endpoint("GET", "for/traders", name, response=Name, roles=TRADERS),
            Endpoint("GET", "for/admins", name, response=Name, roles=ADMINS),
        ]
        return identity, build_app(endpoints, authenticator=identity)

    def pass_time(self, seconds: float) -> None:
        self.wall.now += seconds
        self.monotonic.now += seconds

    async def open_account(self, user_id: int) -> None:
        if self.opening_fails:
            raise ConnectionError("the account actor is away")
        self.opened.append(user_id)

    async def post(self, path: str, token: str | None = None, **body: Any) -> Answer:
        return await call(self.app, "POST", f"/api/v1/auth/{path}", json=body or None, token=token)

    async def get(self, path: str, token: str, app: Starlette | None = None) -> Answer:
        return await call(app or self.app, "GET", f"/api/v1/{path}", token=token)

    async def registered(self, username: str = "alice", **more: Any) -> dict[str, Any]:
        answer = await self.post("register", username=username, password=PASSWORD, **more)
        assert answer.status == 201, answer.body
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def world_at(dsn: str, limits: IdentityLimits | None = None) -> AsyncIterator[World]:
    """On an empty schema."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=6)
    try:
        await pool.execute("drop schema public cascade; create schema public")
        for migration in MIGRATIONS:
            await pool.execute(migration.read_text())
        yield World(pool, limits)
    finally:
        await pool.close()
