"""Two accounts of one market with different profiles: fees, latency and what explains them."""

import time
from decimal import Decimal
from typing import Any

import pytest

from tests.system.conftest import Exchange, User
from tests.system.test_api import make_admin

LATE_MS = 200
PROFILE = "/api/admin/users/{}/profile"


async def test_accounts_of_one_market_have_their_own_fees_and_latency(exchange: Exchange, new_user: User) -> None:
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
