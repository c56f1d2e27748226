"""Questions for the assistant, what they are taken for, and the figures that the API tells for them.

Each row: the intent, what to ask the API, the figures of its answer that must stand in the assistant's, and the question in
both languages. Where a market moves, the API is asked before and after.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, NamedTuple

from tests.system.client import Client

Figures = list[str]
DAY_MS: Final = 86_400_000


class Row(NamedTuple):
    intent: str
    ask: Callable[[Client], Awaitable[Figures]]
    en: tuple[str, ...]
    ko: tuple[str, ...]


def number(value: float) -> str:
    return json.dumps(value)


# -- what the API tells -------------------------------------------------------------------------------------------


def balances(*assets: str) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        held = {one["asset"]: one for one in (await client.portfolio())["balances"]}
        return [held[asset][part] for asset in assets or sorted(held) for part in ("free", "locked")]

    return ask


def of_portfolio(*names: str) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        found = await client.portfolio()
        return [found[name] for name in names]

    return ask


def of_positions(symbols: Sequence[str], *names: str) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        positions = {one["symbol"]: one for one in (await client.portfolio())["positions"]}
        return [positions[symbol][name] for symbol in symbols for name in names]

    return ask


async def worst_position(client: Client) -> Figures:
    found = (await client.portfolio())["positions"]
    one = min(found, key=lambda one: Decimal(one["realised_profit"]) + Decimal(one["unrealised_profit"]))
    return [one["realised_profit"], one["unrealised_profit"]]


async def shares(client: Client) -> Figures:
    return [number(one["share"]) for one in (await client.portfolio())["balances"]]


async def exposure(client: Client) -> Figures:
    found = await client.portfolio()
    total = sum(Decimal(one["value"]) for one in found["balances"] if one["asset"] != "USDT")
    return [format(total, "f"), number(round(float(total / Decimal(found["equity"])), 6))]


async def largest(client: Client) -> Figures:
    found = await client.portfolio()
    coins = [one for one in found["balances"] if one["asset"] != "USDT"]
    one = max(coins, key=lambda one: Decimal(one["value"]))
    return [one["value"], number(round(float(Decimal(one["value"]) / Decimal(found["equity"])), 6))]


async def concentration(client: Client) -> Figures:
    values = [Decimal(one["value"]) for one in (await client.portfolio())["balances"] if one["asset"] != "USDT"]
    return [number(round(float(sum((value / sum(values)) ** 2 for value in values)), 6))]


def orders(limit: int, **query: Any) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        found = (await client.get("/api/trading/orders", limit=limit, **query))["orders"]
        assert found
        return [told for one in found for told in (str(one["order_id"]), one["quantity"], one["executed_quantity"])]

    return ask


def executions(limit: int) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        found = (await client.get("/api/trading/history", limit=limit))["executions"]
        return [one[name] for one in found for name in ("price", "quantity", "commission")]

    return ask


async def fees(client: Client) -> Figures:
    total: dict[str, Decimal] = {}
    for one in (await client.get("/api/trading/history", limit=1000))["executions"]:
        asset = one["commission_asset"]
        total[asset] = total.get(asset, Decimal(0)) + Decimal(one["commission"])
    return [format(one, "f") for one in total.values()]


async def traded(client: Client) -> Figures:
    total = {"BUY": Decimal(0), "SELL": Decimal(0)}
    found = (await client.get("/api/trading/history", limit=1000))["executions"]
    for one in found:
        total[one["side"]] += Decimal(one["quote"])
    return [str(len(found)), *(format(one, "f") for one in total.values())]


async def buying_power(client: Client) -> Figures:
    (free,) = [one["free"] for one in (await client.portfolio())["balances"] if one["asset"] == "USDT"]
    (ticker,) = (await client.get("/api/market/prices", symbol="BTCUSDT"))["prices"]
    lots = (Decimal(free) / Decimal(ticker["ask"]) / Decimal("0.00001")).to_integral_value(ROUND_FLOOR)
    return [free, ticker["ask"], format(lots * Decimal("0.00001"), "f")]


def tickers(symbols: Sequence[str], *names: str) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        found = [(await client.get("/api/market/prices", symbol=one))["prices"][0] for one in symbols]
        return [one[name] if isinstance(one[name], str) else number(one[name]) for one in found for name in names]

    return ask


async def all_prices(client: Client) -> Figures:
    return [one["last_price"] for one in (await client.get("/api/market/prices"))["prices"]]


async def gainers(client: Client) -> Figures:
    changes = sorted(
        (one["change_percent"] for one in (await client.get("/api/market/prices"))["prices"]), reverse=True
    )
    return [number(one) for one in changes[:3]]


async def spread(client: Client) -> Figures:
    (one,) = (await client.get("/api/market/prices", symbol="BTCUSDT"))["prices"]
    return [one["bid"], one["ask"], format(Decimal(one["ask"]) - Decimal(one["bid"]), "f")]


async def depth(client: Client) -> Figures:
    found = await client.get("/api/market/depth", symbol="BTCUSDT", limit=5)
    return [text for level in (*found["bids"], *found["asks"]) for text in level]


async def candle(client: Client) -> Figures:
    one = (await client.get("/api/market/history", symbol="BTCUSDT", interval="15m", limit=1))["candles"][0]
    return [one[name] for name in ("open", "high", "low", "close", "volume")]


async def last_hours(client: Client) -> Figures:
    """All there is: the exchange is younger than the span asked about."""
    found = (await client.get("/api/market/history", symbol="ETHUSDT", interval="1m", limit=1000))["candles"]
    high, low = max(Decimal(one["high"]) for one in found), min(Decimal(one["low"]) for one in found)
    return [found[0]["open"], format(high, "f"), format(low, "f"), found[-1]["close"]]


async def public_trades(client: Client) -> Figures:
    found = (await client.get("/api/market/trades", symbol="XRPUSDT", limit=5))["trades"]
    return [one[name] for one in found for name in ("price", "quantity")]


def symbol_info(*names: str) -> Callable[[Client], Awaitable[Figures]]:
    async def ask(client: Client) -> Figures:
        (one,) = (await client.get("/api/market/symbols", symbol="BTCUSDT"))["symbols"]
        return [one[name] for name in names]

    return ask


async def how_many_symbols(client: Client) -> Figures:
    found = await client.get("/api/v1/system/status")
    return [str(found["symbols"])]


async def fee_tier(client: Client) -> Figures:
    found = (await client.get("/api/account/profile"))["profile"]["fees"]
    return [str(found["maker_ppm"]), str(found["taker_ppm"])]


async def nothing(_: Client) -> Figures:
    return []


# -- the questions ------------------------------------------------------------------------------------------------

HELD: Final = ("BTCUSDT", "ETHUSDT")

QUESTIONS: Final[tuple[Row, ...]] = (
    Row("balance", balances("USDT"), ("How much USDT do I have?", "What's my tether balance?"), ("USDT 잔고 얼마야?", "테더 얼마 있어?")),
    Row("balance", balances(), ("Show me my balances", "blance of my acount"), ("내 잔고 전부 보여줘",)),
    Row("balance", balances("BTC"), ("How many bitcoin do I have left?", "how much btc have i got"), ("비트코인 몇 개 있어?", "비트코인 보유량 알려줘")),
    Row("equity", of_portfolio("equity"), ("What is my equity?", "How much is my portfolio worth?"), ("총자산 얼마야?", "내 평가금액은?")),
    Row("profit", of_portfolio("realised_profit", "unrealised_profit"), ("How much profit have I made?", "What's my PnL?"), ("지금까지 수익이 얼마야?", "내 손익 알려줘")),
    Row("profit", of_positions(["ETHUSDT"], "realised_profit", "unrealised_profit"), ("What's my profit on ethereum?",), ("이더리움 손익은?",)),
    Row("positions", of_positions(HELD, "quantity", "average_price", "value", "unrealised_profit"), ("Show my positions", "What coins do I own?"), ("보유 종목 보여줘", "내 포지션은?")),
    Row("average_price", of_positions(["BTCUSDT"], "average_price"), ("What's my average price for BTC?",), ("비트코인 평단 얼마야?",)),
    Row("best_position", worst_position, ("Which position lost the most?",), ("어떤 종목에서 제일 손실이 커?",)),
    Row("allocation", shares, ("What's the allocation of my portfolio?",), ("자산 비중 알려줘",)),
    Row("exposure", exposure, ("What is my exposure?",), ("내 노출 금액은?",)),
    Row("largest_holding", largest, ("What's my largest holding?",), ("가장 많이 보유한 자산은?",)),
    Row("concentration", concentration, ("How concentrated is my portfolio?",), ("포트폴리오 집중도는?",)),
    Row("open_orders", orders(100, open="true"), ("Show my open orders", "Do I have any pending orders?"), ("미체결 주문 있어?", "걸어둔 주문 보여줘")),
    Row("order_history", orders(3), ("Show my last 3 orders",), ("최근 주문 3개 보여줘",)),
    Row("last_order", orders(1), ("What was my last order?",), ("마지막 주문 뭐였지?",)),
    Row("executions", executions(5), ("Show my recent trades", "What are my last fills?"), ("체결 내역 보여줘", "최근 거래 내역은?")),
    Row("fees_paid", fees, ("What fees have I paid today?", "How much commission have I paid in total?"), ("오늘 낸 수수료 얼마야?", "지금까지 수수료 총 얼마 냈어?")),
    Row("trade_summary", traded, ("How many trades did I make today?",), ("오늘 몇 번 거래했어?",)),
    Row("buying_power", buying_power, ("How much BTC can I buy?",), ("비트코인 몇 개 살 수 있어?",)),
    Row("my_fees", symbol_info("maker_fee", "taker_fee"), ("What are my fees?",), ("수수료율이 얼마야?",)),
    Row("profile", fee_tier, ("What's my latency?",), ("내 주문 지연은 얼마야?",)),
    Row("price", tickers(["BTCUSDT"], "last_price", "change_percent"), ("Price of BTC?", "How much is bitcoin?", "pirce of bitcion", "btc/usdt quote"), ("비트코인 가격 얼마야?", "비트코인 시세", "BTCUSDT 현재가")),
    Row("price", tickers(["BTCUSDT", "ETHUSDT"], "last_price"), ("Compare the prices of BTC and ETH",), ("비트코인과 이더리움 시세 알려줘",)),
    Row("price", all_prices, ("Show all prices",), ("전체 시세 보여줘",)),
    Row("change", tickers(["ETHUSDT"], "change_percent", "open", "last_price"), ("24h change of ETH", "Is ethereum up or down?"), ("이더리움 24시간 변동률",)),
    Row("high_low", tickers(["SOLUSDT"], "high", "low"), ("24h high and low of solana",), ("솔라나 고가 저가 알려줘",)),
    Row("price_range", last_hours, ("What were the high and low of ETH in the last 3 hours?",), ("지난 3시간 이더리움 고가와 저가는?",)),
    Row("volume", tickers(["XRPUSDT"], "volume", "quote_volume"), ("What's the volume of XRP?",), ("리플 거래량은?",)),
    Row("movers", gainers, ("top gainers",), ("가장 많이 오른 코인은?",)),
    Row("spread", spread, ("What's the spread of BTC?", "best bid and ask for bitcoin"), ("비트코인 스프레드 얼마야?", "비트코인 매수호가 매도호가")),
    Row("depth", depth, ("Show the order book of BTC",), ("비트코인 호가창 보여줘",)),
    Row("candles", candle, ("Show 15m candles of BTC",), ("비트코인 15분봉 보여줘",)),
    Row("trades", public_trades, ("Latest trades of XRP",), ("리플 체결창 보여줘",)),
    Row("filters", symbol_info("min_quantity", "lot_size", "tick_size", "min_notional"), ("What's the minimum order for BTC?", "tick size of BTC"), ("비트코인 최소 주문 수량은?",)),
    Row("symbols", nothing, ("Which symbols can I trade?",), ("거래 가능한 종목은?",)),
    Row("order_types", nothing, ("What order types are there?",), ("주문 유형 뭐 있어?",)),
    Row("status", how_many_symbols, ("Is the exchange up and running?",), ("거래소 상태 어때?",)),
    Row("time", nothing, ("What time is it?",), ("지금 몇 시야?",)),
    Row("whoami", nothing, ("Who am I?",), ("나는 누구야?",)),
    Row("how_to", nothing, ("How do I place a limit order?", "What is an iceberg order?"), ("지정가 주문은 어떻게 해?", "주문 취소 방법 알려줘")),
    Row("help", nothing, ("What can you do?",), ("뭘 할 수 있어?",)),
    Row("unknown", nothing, ("What's the weather in Seoul?",), ("오늘 서울 날씨 어때?",)),
)  # fmt: skip
