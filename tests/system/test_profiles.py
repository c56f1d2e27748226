"""Two accounts of one market with different profiles: fees, latency and what explains them."""

import time
from decimal import Decimal
from typing import Any

import pytest

from tests.system.conftest import PASSWORD, Exchange, User
from tests.system.test_api import make_admin

LATE_MS = 200
PROFILE = "/api/admin/users/{}/profile"


async def test_accounts_of_one_market_have_their_own_fees_and_latency(exchange: Exchange, new_user: User) -> None:
    """HT-R01, HT-R04."""
    late, quick = exchange.register("late"), exchange.register("quick")
    await make_admin(exchange, new_user)
    latency = {"kind": "constant", "ms": LATE_MS}
    async with exchange.client(exchange.log_in(new_user.username)) as admin:
        body = {"fees": "vip3", "order_latency": latency, "ack_latency": {"kind": "constant", "ms": 1}}
        path = PROFILE.format(late.username)
        set_ = await admin.call("PUT", path, json=body)
        assert set_.status == 200, set_.body
        wrong = await admin.call("PUT", path, json={"order_latency": {"kind": "constant", "ms": -1}})
        assert wrong.refusal == (422, "VALIDATION", "order_latency.ms")
    found: dict[str, Any] = {}
    for user in (quick, late):
        async with exchange.client(user) as client:
            symbol = (await client.get("/api/market/symbols"))["symbols"][0]
            began = time.monotonic()
            order = await client.post(
                "/api/trading/buy", {"symbol": symbol["symbol"], "type": "MARKET", "quantity": "1"}
            )
            found[user.username] = {
                "seconds": time.monotonic() - began,
                "fee": symbol["taker_fee"],
                "paid": sum(Decimal(one["commission"]) for one in order["fills"]),
                "explained": await client.get(f"/api/trading/orders/{order['order_id']}/explain"),
                "profile": (await client.get("/api/account/profile"))["profile"],
            }
    one, other = found[late.username], found[quick.username]
    assert one["seconds"] >= LATE_MS / 1000
    assert (one["fee"], other["fee"]) == ("0.0006", "0.001")
    assert (one["explained"]["latency_ns"], other["explained"]["latency_ns"]) == (LATE_MS * 1_000_000, None)
    assert (one["profile"]["order_latency"], other["profile"]["order_latency"]["kind"]) == (latency, "none")
    # A commission is rounded to the asset's smallest unit, fill by fill.
    assert float(one["paid"]) == pytest.approx(0.0006, rel=0.01)
    assert float(other["paid"]) == pytest.approx(0.001, rel=0.01)


async def test_named_profiles_are_made_given_chosen_and_deleted(exchange: Exchange, new_user: User) -> None:
    """HT-R02, HT-R03."""
    await make_admin(exchange, new_user)
    user, name = exchange.register("given"), f"retail-{new_user.user_id}"
    path, named = PROFILE.format(user.username), f"/api/admin/profiles/{name}"
    async with exchange.client(exchange.log_in(new_user.username)) as admin:
        body = {"fees": "vip2", "fill_model": "THROUGH", "rate_limit": 0.5, "self_service": True}
        put = await admin.call("PUT", named, json=body)
        assert put.json == await admin.get(named)
        given = await admin.call("PUT", path, json={"named": name})
        assert given.json == {"username": user.username, "named": name, "profile": put.json["profile"]}
        assert given.json == await admin.get(path)
        chosen = exchange.ask(
            "/api/auth/register",
            {"username": f"c{new_user.user_id}-{name}"[:32], "password": PASSWORD, "profile": name},
        )
        assert (await admin.get(PROFILE.format(chosen["user"]["username"])))["named"] == name
        assert (await admin.call("DELETE", named)).status == 204
        assert (await admin.call("GET", named)).refusal == (404, "NOT_FOUND", "name")
    async with exchange.client(user) as client:
        assert (await client.get("/api/account/profile"))["profile"] == put.json["profile"]
        assert (await client.call("PUT", path, json={})).status == 403
