"""Identity over HTTP and a real PostgreSQL: registering, sessions, refresh tokens, attempts, revocation."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from serve.auth import store
from serve.auth.identity import IdentityLimits, ensure_admin
from serve.auth.passwords import MAX_WAITING, check_password
from serve.auth.principal import Principal, Role
from serve.auth.token_cache import RECHECK_S, TokenCache
from serve.auth.tokens import ACCESS_LIFETIME_S, REFRESH_LIFETIME_S
from serve.errors import ApiError, Code
from tests.unit.asgi import call
from tests.unit.auth_world import PASSWORD, World, cheap_passwords, database_server, world_at

WRONG = "incorrect horse battery"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_server(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with world_at(dsn) as made:
        yield made


async def actions(world: World) -> list[str]:
    return [row["action"] for row in await world.pool.fetch("select action from audit_log order by audit_id")]


# --- Registering -----------------------------------------------------------------------------------------


async def test_registering_logs_in_and_opens_the_account(world: World) -> None:
    found = await world.registered("Alice", email="Alice@Example.org")
    user = found["user"]
    assert (user["user_id"], user["username"], user["email"], user["role"]) == (
        1,
        "Alice",
        "Alice@Example.org",
        "user",
    )
    assert (found["token_type"], found["expires_in"]) == ("Bearer", ACCESS_LIFETIME_S)
    assert world.opened == [1]
    assert (await world.get("auth/me", found["access_token"])).json() == user
    stored = await world.pool.fetchval("select password_hash from users")
    assert stored.startswith("$argon2id$")
    assert await actions(world) == ["register"]


async def test_names_are_unique_whatever_their_case(world: World) -> None:
    await world.registered("Alice", email="alice@example.org")
    assert (await world.post("register", username="aLICE", password=PASSWORD)).code == "USERNAME_TAKEN"
    answer = await world.post("register", username="bob", password=PASSWORD, email="ALICE@example.org")
    assert (answer.status, answer.code, answer.json()["field"]) == (409, "EMAIL_TAKEN", "email")


async def test_of_many_at_once_one_gets_the_name(world: World) -> None:
    asked = [world.post("register", username="alice", password=PASSWORD) for _ in range(5)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert len(world.opened) == 1


@pytest.mark.parametrize(
    "username",
    ["", "al", "a" * 33, "-alice", "al ice", "alice\n", "alice\0", "älice", "a@b.org", "'; drop--"],
)
async def test_bad_usernames(world: World, username: str) -> None:
    answer = await world.post("register", username=username, password=PASSWORD)
    assert (answer.status, answer.code, answer.json()["field"]) == (422, "VALIDATION", "username")


@pytest.mark.parametrize(
    "email",
    ["", "alice", "alice@", "@b.org", "a@b", "a b@c.org", "a@b.org\n", "a@-b.org", "x" * 250 + "@b.org"],
)
async def test_bad_email_addresses(world: World, email: str) -> None:
    answer = await world.post("register", username="alice", password=PASSWORD, email=email)
    assert (answer.status, answer.code, answer.json()["field"]) == (422, "VALIDATION", "email")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "aaaaaaaaaaaa",
        "abababababab",
        "Password123",
        "QWERTYUIOP",
        "Alice.the.trader",
        "al@example.org",
    ],
)
async def test_weak_passwords(world: World, password: str) -> None:
    answer = await world.post("register", username="alice.the.trader", password=password, email="al@example.org")
    assert (answer.status, answer.code, answer.json()["field"]) == (422, "WEAK_PASSWORD", "password")
    assert await world.pool.fetchval("select count(*) from users") == 0


async def test_passwords_have_a_longest_length(world: World) -> None:
    answer = await world.post("register", username="alice", password="a1b2" * 32 + "!")
    assert (answer.status, answer.json()["field"]) == (422, "password")
    answer = await world.post("register", username="alice", password="a1b2" * 32)
    assert answer.status == 201


def test_text_that_is_none() -> None:
    with pytest.raises(ApiError) as caught:
        check_password("correct horse \ud800", "alice", None)
    assert caught.value.code is Code.WEAK_PASSWORD


async def test_a_password_is_the_same_from_every_keyboard(world: World) -> None:
    composed, decomposed = "caf\u00e9 horse battery", "cafe\u0301 horse battery"
    assert (await world.post("register", username="alice", password=composed)).status == 201
    assert (await world.post("login", username="alice", password=decomposed)).status == 200


async def test_when_the_account_cannot_be_opened(world: World) -> None:
    world.opening_fails = True
    answer = await world.post("register", username="alice", password=PASSWORD)
    assert (answer.status, answer.code) == (503, "ACCOUNT_UNAVAILABLE")
    assert (await world.post("login", username="alice", password=PASSWORD)).status == 200
    world.opening_fails = False
    assert (await world.post("login", username="alice", password=PASSWORD)).status == 200
    assert world.opened == [1]


async def test_registrations_per_address(dsn: str) -> None:
    async with world_at(dsn, IdentityLimits(registrations_per_address=3)) as world:
        for number in range(3):
            await world.registered(f"user{number}")
        answer = await world.post("register", username="user3", password=PASSWORD)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "TOO_MANY_ATTEMPTS", "60")
        world.pass_time(60)
        await world.registered("user3")


# --- Logging in -------------------------------------------------------------------------------------------


async def test_by_name_or_address(world: World) -> None:
    await world.registered("alice", email="alice@example.org")
    for given in ("alice", "ALICE", "alice@example.org", "Alice@Example.ORG"):
        assert (await world.post("login", username=given, password=PASSWORD)).status == 200


@pytest.mark.parametrize("username", ["nobody", "a", "alice\0", "alice\n", "x' or 1=1 --", "é", "a@b.org", "%"])
async def test_unknown_names_are_like_wrong_passwords(world: World, username: str) -> None:
    await world.registered()
    expected = await world.post("login", username="alice", password=WRONG)
    answer = await world.post("login", username=username, password=PASSWORD)
    assert (answer.status, answer.code) == (expected.status, expected.code) == (401, "INVALID_CREDENTIALS")
    assert answer.json()["detail"] == expected.json()["detail"]


async def test_an_unknown_name_costs_a_hash_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.registered()
    hashed: list[str] = []
    hasher = world.passwords._hasher
    verify = hasher.verify

    def counted(given: bytes, kept: str) -> bool:
        hashed.append(kept)
        return bool(verify(given, kept))

    monkeypatch.setattr(hasher, "verify", counted)
    for username in ("alice", "nobody"):
        await world.post("login", username=username, password=WRONG)
    assert [kept.rsplit("$", 2)[0] for kept in hashed] == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


def test_nobodys_hash_is_one_argon2_accepts_and_nothing_matches() -> None:
    passwords = cheap_passwords()
    assert passwords._hasher.identify(passwords._nobodys_hash)
    assert not passwords._hasher.verify(b"\0", passwords._nobodys_hash)
    assert not passwords._hasher.check_needs_rehash(passwords._nobodys_hash)


async def test_agents_and_disabled_users_stay_out(world: World) -> None:
    await world.pool.execute("insert into users (username, role) values ('maker', 'agent')")
    await world.registered("bob")
    await world.pool.execute("update users set disabled = true where username = 'bob'")
    for username in ("maker", "bob"):
        assert (await world.post("login", username=username, password=PASSWORD)).code == "INVALID_CREDENTIALS"


async def test_five_failures_close_an_account_for_a_minute(world: World) -> None:
    await world.registered()
    for _ in range(5):
        assert (await world.post("login", username="alice", password=WRONG)).status == 401
        world.pass_time(2)
    answer = await world.post("login", username="ALICE", password=PASSWORD)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "TOO_MANY_ATTEMPTS", "50")
    world.pass_time(50)
    assert (await world.post("login", username="alice", password=PASSWORD)).status == 200
    # The window slides: four failures are still inside it.
    assert (await world.post("login", username="alice", password=WRONG)).status == 401
    assert (await world.post("login", username="alice", password=PASSWORD)).status == 429


async def test_logging_in_well_does_not_count(world: World) -> None:
    await world.registered()
    for _ in range(12):
        assert (await world.post("login", username="alice", password=PASSWORD)).status == 200


async def test_at_once_is_no_way_around_the_limit(world: World) -> None:
    await world.registered()
    asked = [world.post("login", username="alice", password=WRONG) for _ in range(40)]
    statuses = [answer.status for answer in await asyncio.gather(*asked)]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 35


async def test_spraying_over_many_accounts(world: World) -> None:
    asked = [world.post("login", username=f"user{number}", password=WRONG) for number in range(60)]
    statuses = [answer.status for answer in await asyncio.gather(*asked)]
    assert statuses.count(401) == 20
    assert statuses.count(429) == 40
    elsewhere = {"username": "user1", "password": WRONG}
    for address, status in (("192.0.2.1", 429), ("::ffff:192.0.2.1", 429), ("198.51.100.7", 401)):
        answer = await call(world.app, "POST", "/api/auth/login", json=elsewhere, client=(address, 1))
        assert answer.status == status


async def test_a_network_of_addresses_counts_as_one(world: World) -> None:
    for number in range(20):
        body = {"username": f"user{number}", "password": WRONG}
        client = (f"2001:db8::{number:x}", 1)
        assert (await call(world.app, "POST", "/api/auth/login", json=body, client=client)).status == 401
    body = {"username": "user99", "password": WRONG}
    for address, status in (("2001:db8::ffff", 429), ("2001:db8:0:1::1", 401)):
        answer = await call(world.app, "POST", "/api/auth/login", json=body, client=(address, 1))
        assert answer.status == status


async def test_a_class_logs_in_at_once_from_one_address(world: World) -> None:
    for number in range(30):
        await world.registered(f"student{number}")
    asked = [world.post("login", username=f"student{number}", password=PASSWORD) for number in range(30)]
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}


async def test_too_many_waiting_for_a_hash() -> None:
    passwords = cheap_passwords()
    leave = asyncio.Event()

    async def stay() -> None:
        async with passwords.turn():
            await leave.wait()

    tasks = [asyncio.create_task(stay()) for _ in range(MAX_WAITING + 2)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as caught:
        await stay()
    assert caught.value.code is Code.OVERLOADED
    leave.set()
    await asyncio.gather(*tasks)
    await stay()


# --- Sessions ---------------------------------------------------------------------------------------------


async def test_refreshing_gives_a_new_pair(world: World) -> None:
    first = await world.registered()
    answer = await world.post("refresh", refresh_token=first["refresh_token"])
    second = answer.json()
    assert answer.status == 200
    assert second["user"] == first["user"]
    assert second["refresh_token"] != first["refresh_token"]
    for token in (first["access_token"], second["access_token"]):
        assert (await world.get("auth/me", token)).status == 200


async def test_a_refresh_token_seen_again_ends_the_session(world: World) -> None:
    first = await world.registered()
    second = (await world.post("refresh", refresh_token=first["refresh_token"])).json()
    other = (await world.post("login", username="alice", password=PASSWORD)).json()
    assert (await world.post("refresh", refresh_token=first["refresh_token"])).code == "SESSION_REVOKED"
    assert (await world.post("refresh", refresh_token=second["refresh_token"])).code == "SESSION_REVOKED"
    assert (await world.get("auth/me", second["access_token"])).code == "SESSION_REVOKED"
    assert (await world.get("auth/me", other["access_token"])).status == 200
    assert "refresh_reuse" in await actions(world)


async def test_two_uses_at_once_are_a_reuse(world: World) -> None:
    token = (await world.registered())["refresh_token"]
    answers = await asyncio.gather(*(world.post("refresh", refresh_token=token) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 401]
    good = next(answer for answer in answers if answer.status == 200).json()
    assert (await world.get("auth/me", good["access_token"])).code == "SESSION_REVOKED"


@pytest.mark.parametrize("token", ["x", "é", "\0", "a" * 200])
async def test_unknown_refresh_tokens(world: World, token: str) -> None:
    assert (await world.post("refresh", refresh_token=token)).code == "UNAUTHENTICATED"


async def test_an_access_token_is_no_refresh_token(world: World) -> None:
    found = await world.registered()
    assert (await world.get("auth/me", found["refresh_token"])).code == "UNAUTHENTICATED"
    answer = await world.post("refresh", refresh_token=found["access_token"][:200])
    assert answer.code == "UNAUTHENTICATED"


async def test_tokens_expire(world: World) -> None:
    found = await world.registered()
    assert (await world.get("auth/me", found["access_token"])).status == 200
    world.pass_time(ACCESS_LIFETIME_S)
    assert (await world.get("auth/me", found["access_token"])).code == "TOKEN_EXPIRED"
    assert (await world.get("auth/me", found["access_token"])).code == "TOKEN_EXPIRED"
    world.pass_time(REFRESH_LIFETIME_S)
    assert (await world.post("refresh", refresh_token=found["refresh_token"])).code == "TOKEN_EXPIRED"


async def test_logging_out_ends_the_session_everywhere(world: World) -> None:
    found = await world.registered()
    token = found["access_token"]
    elsewhere, other_app = world.gateway()
    ended: list[int] = []
    elsewhere.on_sessions_revoked(ended.extend)
    for app in (world.app, other_app):
        assert (await world.get("auth/me", token, app)).status == 200
    answer = await call(world.app, "POST", "/api/auth/logout", token=token)
    assert (answer.status, answer.body) == (204, b"")
    assert (await world.get("auth/me", token)).code == "SESSION_REVOKED"
    world.pass_time(RECHECK_S)
    assert (await world.get("auth/me", token, other_app)).code == "SESSION_REVOKED"
    assert (await world.post("refresh", refresh_token=found["refresh_token"])).code == "SESSION_REVOKED"
    assert ended == [1]
    assert await actions(world) == ["register", "logout"]


async def test_a_cached_token_costs_no_query(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = (await world.registered())["access_token"]
    await world.identity.authenticate(token)
    await world.identity.poll_revocations()
    queries: list[str] = []

    def counted(name: str) -> None:
        query = getattr(store, name)

        async def count(*args: Any) -> Any:
            queries.append(name)
            return await query(*args)

        monkeypatch.setattr(store, name, count)

    counted("get_session")
    counted("sessions_revoked_since")
    for _ in range(100):
        await world.identity.authenticate(token)
    assert queries == []
    world.pass_time(RECHECK_S)
    await asyncio.gather(*(world.identity.authenticate(token) for _ in range(100)))
    assert queries == ["sessions_revoked_since"]


async def test_without_a_database_old_knowledge_is_not_enough(world: World) -> None:
    found = await world.registered()
    token = found["access_token"]
    await world.get("auth/me", token)
    await world.pool.close()
    world.pass_time(RECHECK_S)
    for answer in (
        await world.get("for/everyone", token),
        await world.post("login", username="alice", password=PASSWORD),
        await world.post("refresh", refresh_token=found["refresh_token"]),
        await world.post("register", username="bob", password=PASSWORD),
    ):
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert "retry-after" in answer.headers
    # A failure of the database is none of the user's: it does not count as an attempt.
    for _ in range(6):
        assert (await world.post("login", username="alice", password=PASSWORD)).code == "UNAVAILABLE"


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    cache = TokenCache(None, lambda: 0.0, max_tokens=2)  # type: ignore[arg-type]  # it is not asked
    for number in range(3):
        cache.put(f"t{number}", Principal(number, "a", Role.USER, number), 0)
        cache.get("t0")
    assert [cache.get(f"t{number}") is not None for number in range(3)] == [True, False, True]
    cache.drop_sessions({0})
    assert (len(cache), cache.get("t0")) == (1, None)


async def test_the_oldest_of_too_many_sessions_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.auth.store.MAX_SESSIONS_PER_USER", 3)
    found = [await world.registered()]
    found += [(await world.post("login", username="alice", password=PASSWORD)).json() for _ in range(3)]
    statuses = [(await world.get("auth/me", one["access_token"])).status for one in found]
    assert statuses == [401, 200, 200, 200]


async def test_expired_sessions_are_deleted(world: World) -> None:
    await world.registered("old")
    world.pass_time(REFRESH_LIFETIME_S)
    await world.registered("young")
    assert await world.identity.delete_expired() == 0
    world.pass_time(7 * 24 * 3600 + 1)
    assert await world.identity.delete_expired() == 1
    assert await world.pool.fetchval("select count(*) from refresh_tokens") == 1


# --- Roles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "expected"),
    [("admin", [200, 200, 200]), ("user", [200, 200, 403]), ("viewer", [200, 403, 403])],
)
async def test_what_a_role_may(world: World, role: str, expected: list[int]) -> None:
    await world.registered()
    await world.pool.execute("update users set role = $1", role)
    token = (await world.post("login", username="alice", password=PASSWORD)).json()["access_token"]
    paths = ("for/everyone", "for/traders", "for/admins")
    assert [(await world.get(path, token)).status for path in paths] == expected


async def test_a_viewer_has_no_trading_account(world: World) -> None:
    await world.registered()
    await world.pool.execute("update users set role = 'viewer'")
    world.opened.clear()
    assert (await world.post("login", username="alice", password=PASSWORD)).status == 200
    assert world.opened == []


async def test_the_role_is_the_database_s_not_the_token_s(world: World) -> None:
    token = (await world.registered())["access_token"]
    await world.pool.execute("update users set role = 'viewer'")
    assert (await world.get("for/traders", token)).status == 403


async def test_ending_all_sessions_of_a_user(world: World) -> None:
    found = [await world.registered()]
    found.append((await world.post("login", username="alice", password=PASSWORD)).json())
    other = await world.registered("bob")
    for one in (*found, other):
        await world.get("auth/me", one["access_token"])
    await world.identity.revoke_user(1)
    statuses = [(await world.get("auth/me", one["access_token"])).status for one in (*found, other)]
    assert statuses == [401, 401, 200]


async def test_the_first_admin(world: World) -> None:
    assert await ensure_admin(world.pool, "root", PASSWORD, world.passwords) == 1
    token = (await world.post("login", username="root", password=PASSWORD)).json()["access_token"]
    assert (await world.get("for/admins", token)).status == 200
    assert await ensure_admin(world.pool, "ROOT", PASSWORD, world.passwords) == 1
    assert (await world.get("for/admins", token)).status == 200
    assert await ensure_admin(world.pool, "root", PASSWORD + "!", world.passwords) == 1
    world.pass_time(RECHECK_S)
    assert (await world.get("for/admins", token)).code == "SESSION_REVOKED"
    assert (await world.post("login", username="root", password=PASSWORD + "!")).status == 200


async def test_a_user_may_become_the_admin_and_an_agent_may_not(world: World) -> None:
    await world.registered("alice")
    await world.pool.execute("insert into users (username, role) values ('maker', 'agent')")
    assert await ensure_admin(world.pool, "alice", PASSWORD, world.passwords) == 1
    with pytest.raises(ApiError) as caught:
        await ensure_admin(world.pool, "maker", PASSWORD, world.passwords)
    assert caught.value.code is Code.USERNAME_TAKEN
    for username, password in (("x", PASSWORD), ("root", "short")):
        with pytest.raises(ApiError):
            await ensure_admin(world.pool, username, password, world.passwords)


async def test_the_schema_keeps_its_rules(world: World) -> None:
    bad: list[tuple[str, Any]] = [
        ("insert into users (username) values ($1)", "a b"),
        ("insert into users (username, role) values ('abc', $1)", "root"),
        ("insert into users (username, role, password_hash) values ('abc', 'agent', $1)", "x"),
    ]
    for statement, value in bad:
        with pytest.raises(Exception, match="violates check constraint"):
            await world.pool.execute(statement, value)
