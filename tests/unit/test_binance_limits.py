"""Weights, order counts and bans, with the time given."""

import asyncio
import time

import numpy as np
import pytest

from actors.config import Settings
from actors.market_now import MarketNow
from actors.wire import decode_reports
from market.enums import ExecType
from market.profile import TradingProfile
from market.records import REPORT, REPORT_MAKER
from serve.binance.errors import BinanceError
from serve.binance.limits import BAN_AFTER, FIRST_BAN_S, Limits
from serve.binance.listen_keys import LIFETIME_S, ListenKeys
from serve.binance.venue import Venue
from serve.orders import OrderDesk

MINUTE = 1_800_000_000.0
"""A whole minute, ten seconds and five minutes begin here."""


def refused(limits: Limits, address: str, weight: int, now: float) -> BinanceError:
    with pytest.raises(BinanceError) as raised:
        limits.charge(address, weight, now)
    return raised.value


def test_weight_by_minute_and_address() -> None:
    limits = Limits(1.0)
    assert limits.charge("a", 5999, MINUTE) == 5999
    assert limits.charge("a", 1, MINUTE + 59) == 6000
    error = refused(limits, "a", 1, MINUTE + 45.5)
    assert (error.code, error.status, error.retry_after_s) == (-1003, 429, 14.5)
    assert error.msg == (
        "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    assert limits.charge("b", 1, MINUTE + 45) == 1, "another address"
    assert limits.charge("a", 1, MINUTE + 60) == 1, "another minute"
    assert limits.refund("a", 1) == 0


def test_raw_requests() -> None:
    limits = Limits(0.0001)
    for _ in range(30):
        limits.charge("a", 0, MINUTE)
    error = refused(limits, "a", 0, MINUTE + 60)
    assert (error.code, error.status, error.msg) == (-1003, 429, "Too many requests queued.")
    assert limits.charge("a", 0, MINUTE + 300) == 0


def test_bans_grow() -> None:
    limits = Limits(1.0)
    now = MINUTE
    for ban_s in (FIRST_BAN_S, 2 * FIRST_BAN_S, 4 * FIRST_BAN_S):
        for _ in range(BAN_AFTER - 1):
            assert refused(limits, "a", 7000, now).status == 429
        error = refused(limits, "a", 7000, now)
        until = int((now + ban_s) * 1000)
        assert (error.status, error.code, error.retry_after_s) == (418, -1003, ban_s)
        assert error.msg == (
            f"Way too much request weight used; IP banned until {until}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        assert refused(limits, "a", 1, now + ban_s - 1).status == 418
        limits.charge("b", 1, now)
        now += ban_s + 60 - (now + ban_s) % 60
        limits.charge("a", 1, now)


def test_scale_and_off() -> None:
    assert [one.limit for one in Limits(2.0).all] == [12_000, 200, 400_000, 600_000]
    off = Limits(0.0)
    assert [one.limit for one in off.all] == [6000, 100, 200_000, 300_000], "told, not enforced"
    assert off.charge("a", 1_000_000, MINUTE) == 1_000_000
    off.count_orders(1, 1000, MINUTE)
    off.check_orders(1, 1, MINUTE)


def test_an_account_has_its_own_order_limits() -> None:
    limits = Limits(1.0, {1: 2.0, 2: 0.0, 3: 0.001}.__getitem__)
    for account, most in ((1, 200), (3, 1)):
        limits.count_orders(account, most - 1, MINUTE)
        limits.check_orders(account, 1, MINUTE)
        limits.count_orders(account, 1, MINUTE)
        with pytest.raises(BinanceError, match=f"current limit is {most} orders"):
            limits.check_orders(account, 1, MINUTE)
        assert limits.told_orders(account, MINUTE)[0].limit == most
    limits.count_orders(2, 1_000_000, MINUTE)
    limits.check_orders(2, 1, MINUTE)


def test_unfilled_orders() -> None:
    limits = Limits(1.0)
    assert limits.count_orders(1, 99, MINUTE) == [99, 99]
    limits.check_orders(1, 1, MINUTE)
    limits.count_orders(1, 1, MINUTE)
    with pytest.raises(BinanceError) as raised:
        limits.check_orders(1, 1, MINUTE + 9)
    error = raised.value
    assert (error.code, error.status, error.retry_after_s) == (-1015, 429, None)
    assert error.msg == "Too many new orders; current limit is 100 orders per 10 SECOND."
    limits.check_orders(2, 1, MINUTE)
    assert limits.count_orders(1, -5, MINUTE + 9) == [95, 95], "a fill gives back"
    assert limits.count_orders(1, -1000, MINUTE + 9) == [0, 0], "never below zero"
    limits.count_orders(1, 7, MINUTE + 9)
    assert limits.order_counts(1, MINUTE + 10) == [0, 7]
    told = limits.told_orders(1, MINUTE + 10)
    assert [(one.interval, one.intervalNum, one.limit, one.count) for one in told] == [
        ("SECOND", 10, 100, 0),
        ("DAY", 1, 200_000, 7),
    ]


def test_listen_keys() -> None:
    now = 0.0
    keys = ListenKeys(lambda: now)
    mine = keys.open(1)
    assert keys.open(1) == mine
    assert len(mine) == 64
    assert keys.account_of(mine) == 1
    assert not keys.keep(mine, 2)
    now = LIFETIME_S - 1
    assert keys.keep(mine, 1)
    now = 2 * LIFETIME_S - 2
    assert keys.account_of(mine) == 1
    now = 2 * LIFETIME_S
    assert keys.account_of(mine) is None
    assert not keys.keep(mine, 1)
    other = keys.open(1)
    assert other != mine
    assert keys.close(other, 1)
    assert not keys.close(other, 1)
    assert keys.account_of(other) is None


async def test_fills_of_resting_orders_give_back_more() -> None:
    """An account near its limit is listened to: its first fills as a maker count."""
    heard: list[int] = []

    class Accounts:
        """As much of a gateway as counting orders needs."""

        settings = Settings(data_dir="", run_dir="", pg_dsn="", redis_url="")
        desk = OrderDesk(settings.instruments(), [])
        now_ns = MarketNow()

        async def listen(self, account: int, from_seq: int, listener: object) -> None:
            heard.append(account)

        def profile_of(self, account: int) -> TradingProfile:
            return TradingProfile()

    venue = Venue(Accounts(), None)  # type: ignore[arg-type]
    now = time.time()
    venue.count_orders(3, 49, now)
    await asyncio.sleep(0)
    assert not heard
    venue.count_orders(3, 10, now)
    venue.count_orders(3, 1, now)
    await asyncio.sleep(0)
    assert heard == [3], "once"
    fill = decode_reports(np.zeros(1, REPORT).tobytes())[0]._replace(
        exec_type=ExecType.TRADE, account=3, cum_qty_lots=7, last_qty_lots=7, ts_ns=int(now * 1e9)
    )
    venue.on_report(fill)
    assert venue.limits.order_counts(3, now)[1] == 60, "as a taker it was never counted"
    venue.on_report(fill._replace(flags=REPORT_MAKER))
    assert venue.limits.order_counts(3, now)[1] == 55
    venue.on_report(fill._replace(flags=REPORT_MAKER, cum_qty_lots=8))
    assert venue.limits.order_counts(3, now)[1] == 55, "only the first fill"
    venue.restart()
    venue.count_orders(3, 1, now)
    await asyncio.sleep(0)
    assert heard == [3, 3], "listens again after the account came back"
