"""ccxt, sync and async: what Raypit refuses is raised as the exception class that the venue's answer has."""

from collections.abc import Callable
from typing import Any

import ccxt
import pytest

from deploy.keys import Made
from tests.conformance.matrix import CCXT, CCXT_ASYNC, Area, row
from tests.conformance.pointed import new_account, paste
from tests.conformance.told import SYMBOL, told
from tests.system.client import eventually
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system
BOTH = (CCXT, CCXT_ASYNC)


async def told_later(ask: Callable[..., Any], *given: Any) -> Any:
    return await told(ask(*given))


async def raised(kind: type[Exception], value: Any, text: str) -> None:
    """Exactly this class: ccxt's are a tree, and a base class would say less."""
    with pytest.raises(kind) as found:
        await told(value() if callable(value) else value)
    assert type(found.value) is kind, repr(found.value)
    assert text in str(found.value)


@row(BOTH, Area.ERRORS, "create_order without funds", "InsufficientFunds", refused=True)
async def test_insufficient_funds(bot: Any) -> None:
    # Before the first trade nobody can say what a market order costs: it is taken, for all that is free.
    await eventually(lambda: told_later(bot.fetch_trades, SYMBOL), bool, "somebody has traded")
    await raised(ccxt.InsufficientFunds, lambda: bot.create_order(SYMBOL, "market", "buy", 50), "insufficient balance")
    await raised(
        ccxt.InsufficientFunds, lambda: bot.create_order(SYMBOL, "limit", "buy", 50, 50_000.0), "insufficient balance"
    )


@row(BOTH, Area.ERRORS, "create_order post-only that takes", "OrderImmediatelyFillable", refused=True)
async def test_immediately_fillable(bot: Any) -> None:
    ask = (await told(bot.fetch_order_book(SYMBOL, 5)))["asks"][0][0]
    await raised(
        ccxt.OrderImmediatelyFillable,
        lambda: bot.create_order(SYMBOL, "limit", "buy", 0.001, round(ask * 1.05, 2), {"postOnly": True}),
        "immediately match",
    )


@row(BOTH, Area.ERRORS, "create_order below the minimum notional", "BadRequest: NOTIONAL", refused=True)
async def test_notional(bot: Any) -> None:
    await raised(
        ccxt.BadRequest, lambda: bot.create_order(SYMBOL, "limit", "buy", 0.00001, 90_000.0), "Filter failure: NOTIONAL"
    )


@row(BOTH, Area.ERRORS, "create_order far from the market", "InvalidOrder", refused=True)
async def test_percent_price(bot: Any) -> None:
    await raised(
        ccxt.InvalidOrder, lambda: bot.create_order(SYMBOL, "limit", "buy", 0.01, 1000.0), "PERCENT_PRICE_BY_SIDE"
    )


@row(BOTH, Area.ERRORS, "create_order with a used clientOrderId", "InvalidOrder: duplicate", refused=True)
async def test_duplicate(bot: Any) -> None:
    params = {"clientOrderId": "twice"}
    await told(bot.create_order(SYMBOL, "limit", "buy", 0.001, 50_000.0, params))
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await told(bot.create_order(SYMBOL, "limit", "buy", 0.001, 50_000.0, params))


@row(BOTH, Area.ERRORS, "cancel_order of an unknown order", "OrderNotFound", refused=True)
async def test_cancel_unknown(bot: Any) -> None:
    await raised(ccxt.OrderNotFound, lambda: bot.cancel_order("999999999", SYMBOL), "-2011")


@row(BOTH, Area.ERRORS, "fetch_order of an unknown order", "OrderNotFound", refused=True)
async def test_fetch_unknown(bot: Any) -> None:
    await raised(ccxt.OrderNotFound, lambda: bot.fetch_order("999999999", SYMBOL), "-2013")


@row(BOTH, Area.ERRORS, "edit_order of an unknown order", "refused, nothing placed", refused=True)
async def test_edit_unknown(bot: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        await told(bot.edit_order("999999999", SYMBOL, "limit", "buy", 0.01, 50_000.0))
    assert await told(bot.fetch_orders(SYMBOL)) == []


@row(BOTH, Area.ERRORS, "an unknown symbol", "BadSymbol", refused=True)
async def test_bad_symbol(bot: Any) -> None:
    await raised(ccxt.BadSymbol, lambda: bot.fetch_ticker("NO/SUCH"), "NO/SUCH")
    await raised(ccxt.BadSymbol, lambda: bot.public_get_ticker_price({"symbol": "NOSUCH"}), "-1121")


@row(BOTH, Area.ERRORS, "a wrong secret", "AuthenticationError", refused=True)
async def test_wrong_secret(bot: Any) -> None:
    bot.secret = "wrong"
    await raised(ccxt.AuthenticationError, lambda: bot.fetch_balance(), "-1022")


@row(BOTH, Area.ERRORS, "an unknown key", "AuthenticationError", refused=True)
async def test_unknown_key(bot: Any) -> None:
    bot.apiKey = "x" * 64
    await raised(ccxt.AuthenticationError, lambda: bot.fetch_balance(), "-2015")


@row(BOTH, Area.ERRORS, "create_order with a key that may only read", "AuthenticationError", refused=True)
async def test_read_only(bot: Any, exchange: Exchange) -> None:
    reader: Made = new_account(exchange, can_trade=False)
    bot.apiKey, bot.secret = reader.api_key, reader.secret
    # Once a key has worked, ccxt takes -2015 for a ban (DDoSProtection): so the refusal first.
    await raised(ccxt.AuthenticationError, lambda: bot.create_order(SYMBOL, "market", "buy", 0.001), "-2015")
    assert (await told(bot.fetch_balance()))["USDT"]["free"] == 100_000


@row(BOTH, Area.ERRORS, "a clock that is late", "InvalidNonce", refused=True)
async def test_late(bot: Any) -> None:
    bot.options["timeDifference"] = 120_000
    await raised(ccxt.InvalidNonce, lambda: bot.fetch_balance(), "-1021")


@row(BOTH, Area.ERRORS, "a route the venue does not have", "refused, as a 404", refused=True)
async def test_unknown_route(bot: Any, account: Made) -> None:
    assert paste(account, "# ccxt", {"ccxt": ccxt})["exchange"].apiKey == account.api_key
    with pytest.raises(ccxt.ExchangeNotAvailable, match="404"):
        await told(bot.request("no/such/route", ["public"]))
