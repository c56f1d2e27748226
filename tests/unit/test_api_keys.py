"""API keys over a real PostgreSQL and the native HTTP API: made, sealed, changed, revoked, on several gateways."""

from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette

from serve.auth.api_keys import MAX_KEYS_PER_USER, RECHECK_S, UNKNOWN_FOR_S, ApiKeys
from serve.auth.key_endpoints import key_endpoints
from serve.auth.key_material import KeyKind, Vault, new_identifier
from serve.auth.principal import Role
from serve.errors import ApiError, Code
from serve.http import build_app
from tests.unit.asgi import Answer, call
from tests.unit.auth_world import SECRET, World, database_server, world_at

PATH = "/api/v1/auth/keys"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_server(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with world_at(dsn) as made:
        yield made


def keys_of(world: World) -> ApiKeys:
    """Those of another gateway over the same database."""
    return ApiKeys(world.pool, Vault(SECRET), world.open_account, clock=world.wall, monotonic=world.monotonic)


@pytest.fixture
def keys(world: World) -> ApiKeys:
    return keys_of(world)


@pytest.fixture
def app(world: World, keys: ApiKeys) -> Starlette:
    return build_app(key_endpoints(keys, world.open_account), authenticator=world.identity)


@pytest.fixture
async def token(world: World) -> str:
    found = await world.registered()
    return str(found["access_token"])


async def create(app: Starlette, token: str, **body: object) -> Answer:
    return await call(app, "POST", PATH, json=body, token=token)


def pem(public: "ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey") -> str:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_the_secret_is_told_once_and_stored_sealed(
    world: World, keys: ApiKeys, app: Starlette, token: str
) -> None:
    made = (await create(app, token, label="grid")).json()
    assert made["kind"] == "HMAC"
    assert (len(made["api_key"]), len(made["secret"])) == (64, 64)
    assert (made["api_key"] + made["secret"]).isalnum()
    listed = (await call(app, "GET", PATH, token=token)).json()["keys"]
    assert listed == [{name: value for name, value in made.items() if name != "secret"}]
    row = await world.pool.fetchrow("select * from api_keys")
    assert row is not None
    assert made["secret"] not in str(dict(row))
    assert made["secret"].encode() not in row["sealed_secret"]
    found = await keys.find(made["api_key"])
    assert found is not None
    assert found.secret == made["secret"].encode()
    assert (found.user_id, found.kind, found.can_read, found.can_trade) == (1, KeyKind.HMAC, True, True)
    assert world.opened[-1] == 1, "whose key is believed has an account"


async def test_a_copied_database_is_of_no_use(world: World, app: Starlette, token: str) -> None:
    made = (await create(app, token)).json()
    thief = ApiKeys(world.pool, Vault(b"another exchange's secret, 32 b."), None)
    with pytest.raises(ValueError, match="another exchange"):
        await thief.find(made["api_key"])
    vault = Vault(SECRET)
    with pytest.raises(ValueError, match="another exchange"):
        vault.open(new_identifier(), vault.seal(made["api_key"], made["secret"]))


async def test_public_keys(keys: ApiKeys, app: Starlette, token: str) -> None:
    for private, kind in (
        (ed25519.Ed25519PrivateKey.generate(), "ED25519"),
        (rsa.generate_private_key(65537, 2048), "RSA"),
    ):
        made = (await create(app, token, public_key=pem(private.public_key()))).json()
        assert (made["kind"], made["secret"]) == (kind, None)
        found = await keys.find(made["api_key"])
        assert found is not None
        assert found.public_key is not None
        assert not found.secret


@pytest.mark.parametrize("what", ["nonsense", "curve", "short", "private"])
async def test_other_public_keys_are_refused(app: Starlette, token: str, what: str) -> None:
    text = {
        "nonsense": "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "curve": pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
        "short": pem(rsa.generate_private_key(65537, 1024).public_key()),
        "private": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
    }[what]
    answer = await create(app, token, public_key=text)
    assert (answer.status, answer.code, answer.json()["field"]) == (422, "VALIDATION", "public_key")


async def test_rights_and_addresses_change_everywhere(world: World, keys: ApiKeys, app: Starlette, token: str) -> None:
    other = keys_of(world)
    api_key = (await create(app, token)).json()["api_key"]
    for one in (keys, other):
        found = await one.find(api_key)
        assert found is not None
        assert found.may_come_from(None)
    changed = await call(
        app,
        "PATCH",
        f"{PATH}/{api_key}",
        json={"can_trade": False, "addresses": ["192.0.2.7", "10.0.0.0/8"]},
        token=token,
    )
    assert changed.json()["addresses"] == ["192.0.2.7/32", "10.0.0.0/8"]
    world.pass_time(RECHECK_S)
    for one in (keys, other):
        found = await one.find(api_key)
        assert found is not None
        assert not found.can_trade
        assert [found.may_come_from(a) for a in ("192.0.2.7", "10.1.2.3", "192.0.2.8", None, "x")] == [
            True, True, False, False, False,
        ]  # fmt: skip


async def test_a_revoked_key_ends_here_at_once_and_elsewhere_soon(
    world: World, keys: ApiKeys, app: Starlette, token: str
) -> None:
    other = keys_of(world)
    gone: list[frozenset[str]] = []
    other.on_gone.append(gone.append)
    api_key = (await create(app, token)).json()["api_key"]
    assert await keys.find(api_key)
    assert await other.find(api_key)
    assert (await call(app, "DELETE", f"{PATH}/{api_key}", token=token)).status == 204
    assert await keys.find(api_key) is None
    assert other.known(api_key), "known to the other gateway for a moment"
    world.pass_time(RECHECK_S)
    assert other.known(api_key) is None, "no longer believed without asking"
    assert await other.find(api_key) is None
    assert gone == [frozenset((api_key,))]
    answer = await call(app, "DELETE", f"{PATH}/{api_key}", token=token)
    assert (answer.status, answer.code, answer.json()["field"]) == (404, "UNKNOWN_KEY", "api_key")
    assert (await call(app, "GET", PATH, token=token)).json() == {"keys": []}


async def test_a_disabled_users_keys_end(world: World, keys: ApiKeys, app: Starlette, token: str) -> None:
    api_key = (await create(app, token)).json()["api_key"]
    assert await keys.find(api_key)
    await world.pool.execute("update users set disabled = true")
    world.pass_time(RECHECK_S)
    assert await keys.find(api_key) is None


async def test_keys_of_others_are_not_there(world: World, app: Starlette, token: str) -> None:
    api_key = (await create(app, token)).json()["api_key"]
    bob = (await world.registered("bob"))["access_token"]
    assert (await call(app, "GET", PATH, token=bob)).json() == {"keys": []}
    for method, body in (("DELETE", None), ("PATCH", {"label": "mine"})):
        assert (await call(app, method, f"{PATH}/{api_key}", json=body, token=bob)).code == "UNKNOWN_KEY"
    assert (await call(app, "GET", PATH)).code == "UNAUTHENTICATED"


async def test_a_viewers_key_cannot_trade(world: World, keys: ApiKeys, app: Starlette, token: str) -> None:
    made = (await create(app, token)).json()
    await world.pool.execute("update users set role = 'viewer'")
    with pytest.raises(ApiError) as raised:
        await keys.create(1, Role.VIEWER, "", can_trade=True)
    assert raised.value.code is Code.FORBIDDEN
    assert (await keys.create(1, Role.VIEWER, "", can_trade=False)).row.can_read
    found = await keys.find(made["api_key"])
    assert found is not None
    assert not found.can_trade, "a key made before is no better than its user"


async def test_bad_rights_are_taken_back(world: World, app: Starlette, token: str) -> None:
    api_key = (await create(app, token)).json()["api_key"]
    answer = await call(app, "PATCH", f"{PATH}/{api_key}", json={"can_read": False, "can_trade": False}, token=token)
    assert (answer.status, answer.code) == (422, "VALIDATION")
    assert await world.pool.fetchval("select can_read and can_trade from api_keys")
    answer = await create(app, token, addresses=["10.0.0.0/8", "nowhere"])
    assert (answer.code, answer.json()["field"]) == ("VALIDATION", "addresses[1]")


async def test_not_more_than_so_many(app: Starlette, token: str, world: World) -> None:
    for _ in range(MAX_KEYS_PER_USER):
        assert (await create(app, token)).status == 201
    answer = await create(app, token)
    assert (answer.status, answer.code) == (409, "TOO_MANY_KEYS")
    assert await world.pool.fetchval("select count(*) from api_keys") == MAX_KEYS_PER_USER


async def test_unknown_keys_cost_few_questions(world: World, keys: ApiKeys) -> None:
    nobody = new_identifier()
    assert await keys.find("short") is None
    assert await keys.find(nobody) is None
    await world.pool.execute("alter table api_keys rename to hidden")
    assert await keys.find(nobody) is None, "not asked again"
    await world.pool.execute("alter table hidden rename to api_keys")
    world.pass_time(UNKNOWN_FOR_S)
    assert await keys.find(nobody) is None


async def test_last_use_is_written_down(world: World, keys: ApiKeys, app: Starlette, token: str) -> None:
    api_key = (await create(app, token)).json()["api_key"]
    found = await keys.find(api_key)
    assert found is not None
    found.used_at, found.used_from = world.wall.now, "192.0.2.7"
    listed = (await call(app, "GET", PATH, token=token)).json()["keys"][0]
    assert (listed["last_used_at"], listed["last_used_from"]) == ("2027-01-15T08:00:00.000000Z", "192.0.2.7")
