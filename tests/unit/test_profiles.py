"""Profiles over the API: told, set, named, chosen at registration; over a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from deploy.profiles import ProfileError, latency_of
from market.profile import TIERS, Constant, Empirical, FillModelName, Latency, Lognormal, NoLatency, TradingProfile
from serve.api import profiles as profiles_api
from serve.auth.endpoints import auth_endpoints
from serve.auth.identity import ensure_admin
from serve.http import build_app
from serve.profiles import EVERYBODYS, Profiles
from tests.unit.asgi import Answer, call
from tests.unit.auth_world import PASSWORD, World, cheap_passwords, database_server, world_at

SLOW: dict[str, Any] = {
    "fees": "vip3", "fill_model": "BACK", "rate_limit": 2, "order_latency": {"kind": "constant", "ms": 25},
}  # fmt: skip
TOLD = TradingProfile(TIERS["vip3"], FillModelName.BACK, 2.0, Constant(25))


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_server(tmp_path_factory.mktemp("profiles") / "data") as dsn:
        yield dsn


class Profiled:
    def __init__(self, world: World) -> None:
        self.world = world
        self.journaled: list[tuple[int, TradingProfile]] = []
        self.profiles = Profiles(lambda: world.pool, self._journal)
        endpoints = [
            *auth_endpoints(world.identity, world.open_account, self._self_service),
            *profiles_api.endpoints(self.profiles),
        ]
        world.app = build_app(endpoints, authenticator=world.identity)

    async def _journal(self, user_id: int, document: bytes) -> None:
        self.journaled.append((user_id, msgspec.json.decode(document, type=TradingProfile)))

    async def _self_service(self, name: str) -> Any:
        found = await self.profiles.named(name, "profile", to_register=True)

        async def give(user_id: int) -> None:
            await self.profiles.set(user_id, found.profile, name)

        return give

    async def start(self) -> None:
        await ensure_admin(self.world.pool, "root", PASSWORD, cheap_passwords())
        answer = await self.world.post("login", username="root", password=PASSWORD)
        self.admin: str = answer.json()["access_token"]

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        return await call(self.world.app, method, f"/api/{path}", json=body, token=token or self.admin)


@pytest.fixture
async def here(dsn: str) -> AsyncIterator[Profiled]:
    async with world_at(dsn) as world:
        one = Profiled(world)
        await one.start()
        yield one


def told(answer: Answer, status: int = 200) -> TradingProfile:
    assert answer.status == status, answer.body
    return msgspec.convert(answer.json()["profile"], TradingProfile)


async def test_an_admin_sets_what_a_user_is_told(here: Profiled) -> None:
    alice = await here.world.registered()
    token, user_id = alice["access_token"], alice["user"]["user_id"]
    assert told(await here.ask("GET", "account/profile", token=token)) == EVERYBODYS
    assert told(await here.ask("PUT", "admin/users/alice/profile", SLOW)) == TOLD
    assert here.journaled == [(user_id, TOLD)]
    assert told(await here.ask("GET", "account/profile", token=token)) == TOLD
    assert told(await here.ask("GET", "admin/users/alice/profile")) == TOLD
    assert told(await here.ask("PUT", "admin/users/alice/profile", {})) == EVERYBODYS, "the whole document"
    assert here.profiles.known(user_id) == EVERYBODYS


async def test_another_gateway_learns_of_it(here: Profiled) -> None:
    user_id = (await here.world.registered())["user"]["user_id"]
    other = Profiled(here.world).profiles
    await other.refresh()
    assert other.known(user_id) == EVERYBODYS
    await here.profiles.set(user_id, TOLD)
    await other.refresh()
    assert other.known(user_id) == TOLD


async def test_only_admins_set(here: Profiled) -> None:
    token = (await here.world.registered())["access_token"]
    for method, path, body in (
        ("PUT", "admin/users/alice/profile", SLOW),
        ("GET", "admin/users/alice/profile", None),
        ("PUT", "admin/profiles/retail", SLOW),
        ("DELETE", "admin/profiles/retail", None),
    ):
        assert (await here.ask(method, path, body, token)).status == 403
    assert here.journaled == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fees": "vip10"}, "fees"),
        ({"fees": {"name": "own", "maker_ppm": -1, "taker_ppm": 0}}, "fees.maker_ppm"),
        ({"rate_limit": -1}, "rate_limit"),
        ({"fill_model": "LUCKY"}, "fill_model"),
        ({"order_latency": {"kind": "constant", "ms": 60_000}}, "order_latency.ms"),
        ({"ack_latency": {"kind": "lognormal", "median_ms": 1, "sigma": -1, "cap_ms": 2}}, "ack_latency.sigma"),
        ({"cancel_latency": {"kind": "empirical", "samples_ms": []}}, "cancel_latency.samples_ms"),
        ({"data_latency": {"kind": "guess"}}, "data_latency.kind"),
        ({"named": "retail"}, "named"),
        ({"named": "retail", "fees": "vip1"}, "named"),
    ],
)
async def test_what_does_not_hold_is_named(here: Profiled, body: Any, field: str) -> None:
    await here.world.registered()
    answer = await here.ask("PUT", "admin/users/alice/profile", body)
    assert (answer.status, answer.json()["field"]) == (422, field), answer.body
    assert here.journaled == []


async def test_named_ones_are_made_given_changed_and_deleted(here: Profiled) -> None:
    await here.world.registered()
    assert (await here.ask("GET", "admin/profiles/retail")).status == 404
    assert told(await here.ask("PUT", "admin/profiles/retail", SLOW)) == TOLD
    given = await here.ask("PUT", "admin/users/alice/profile", {"named": "retail"})
    assert (told(given), given.json()["named"]) == (TOLD, "retail")
    assert told(await here.ask("PUT", "admin/profiles/retail", {"self_service": True})) == EVERYBODYS
    assert (await here.ask("GET", "admin/profiles/retail")).json()["self_service"] is True
    assert told(await here.ask("GET", "admin/users/alice/profile")) == TOLD, "who has a copy keeps it"
    assert (await here.ask("DELETE", "admin/profiles/retail")).status == 204
    assert (await here.ask("DELETE", "admin/profiles/retail")).status == 404
    assert (await here.ask("PUT", "admin/users/nobody/profile", SLOW)).status == 404


async def test_who_registers_may_choose_what_is_for_everybody(here: Profiled) -> None:
    await here.ask("PUT", "admin/profiles/insider", SLOW)
    await here.ask("PUT", "admin/profiles/retail", {**SLOW, "self_service": True})
    for name in ("insider", "nothing"):
        answer = await here.world.post("register", username="alice", password=PASSWORD, profile=name)
        assert (answer.status, answer.json()["field"]) == (422, "profile")
    alice = await here.world.registered(profile="retail")
    assert here.journaled == [(alice["user"]["user_id"], TOLD)]
    assert told(await here.ask("GET", "account/profile", token=alice["access_token"])) == TOLD


# -- the command line's words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("25ms", Constant(25)),
        ("1.5", Constant(1.5)),
        ("2s", Constant(2000)),
        ("500us", Constant(0.5)),
        ("none", NoLatency()),
        ("samples:18,22ms, 40", Empirical((18, 22, 40))),
        ("lognormal:20ms,0.5,200ms", Lognormal(20, 0.5, 200)),
    ],
)
def test_latencies_in_words(text: str, latency: Latency) -> None:
    assert latency_of("--order-latency", text) == latency


@pytest.mark.parametrize("text", ["", "soon", "-1ms", "samples:", "lognormal:20", "lognormal:20,x,30", "uniform:1,2"])
def test_words_that_are_no_latency_are_named(text: str) -> None:
    with pytest.raises(ProfileError, match="is no latency") as raised:
        latency_of("--ack-latency", text)
    assert str(raised.value).startswith("--ack-latency: ")
