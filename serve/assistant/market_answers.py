"""Answers about the market and the exchange itself."""

from collections.abc import Sequence
from typing import Any, Final

from serve.assistant import arguments as a
from serve.assistant.figures import PriceRange, Spread
from serve.assistant.intent import Call, figure, listed, needed_symbol
from serve.assistant.question import Question
from serve.market_schema import Interval, Ticker

MILLISECOND_NS: Final = 1_000_000
DAY_MS: Final = 86_400_000
SHOWN: Final = 10
MOST_AT_ONCE: Final = 4


def one_symbol(q: Question) -> Sequence[Call]:
    """Of each symbol that is named."""
    named = (*q.found.symbols, *q.found.strangers) or (needed_symbol(q),)
    return [("prices", a.MaybeSymbol(symbol=one)) for one in named[:MOST_AT_ONCE]]


def price_calls(q: Question) -> Sequence[Call]:
    return one_symbol(q) if q.symbol is not None else (("prices", a.MaybeSymbol()),)


def _tickers(results: Sequence[Any]) -> list[Ticker]:
    return [one for result in results for one in result.prices]


def say_price(q: Question, results: Sequence[Any]) -> str:
    found = _tickers(results)
    if q.symbol is None:
        parts = [f"{one.symbol} {one.last_price}" for one in found[:SHOWN]]
        return q.say("Last prices: ", "현재가: ") + listed(parts, q, "none yet", "아직 없음") + "."
    return " ".join(
        q.say(
            f"{one.symbol} last traded at {one.last_price} ({figure(one.change_percent)} % in 24 h).",
            f"{one.symbol} 현재가는 {one.last_price}입니다 (24시간 {figure(one.change_percent)} %).",
        )
        for one in found
    )


def say_change(q: Question, results: Sequence[Any]) -> str:
    return " ".join(
        q.say(
            f"{one.symbol} changed by {figure(one.change_percent)} % in 24 h: from {one.open} to {one.last_price}.",
            f"{one.symbol} 24시간 변동은 {figure(one.change_percent)} %입니다: {one.open}에서 {one.last_price}.",
        )
        for one in _tickers(results)[:SHOWN]
    )


def say_high_low(q: Question, results: Sequence[Any]) -> str:
    return " ".join(
        q.say(
            f"{one.symbol} in 24 h: high {one.high}, low {one.low}, open {one.open}, last {one.last_price}.",
            f"{one.symbol} 24시간: 고가 {one.high}, 저가 {one.low}, 시가 {one.open}, 현재가 {one.last_price}.",
        )
        for one in _tickers(results)
    )


def say_volume(q: Question, results: Sequence[Any]) -> str:
    return " ".join(
        q.say(
            f"{one.symbol} volume in 24 h: {one.volume} ({one.quote_volume} in the quote asset), {one.trades} trades.",
            f"{one.symbol} 24시간 거래량은 {one.volume} (거래대금 {one.quote_volume}), 체결 {one.trades}건입니다.",
        )
        for one in _tickers(results)[:SHOWN]
    )


def all_prices(_: Question) -> Sequence[Call]:
    return (("prices", a.MaybeSymbol()),)


def say_movers(q: Question, results: Sequence[Any]) -> str:
    falls = q.has(r"los(er|ing|t)|fell|fall|drop|down|worst|declin", r"내린|하락|떨어진|급락|빠진|최악")
    ranked = sorted(_tickers(results), key=lambda one: one.change_percent, reverse=not falls)
    parts = [f"{one.symbol} {figure(one.change_percent)} %" for one in ranked[:3]]
    head = (
        q.say("Most fallen in 24 h: ", "24시간 하락률 순: ")
        if falls
        else q.say("Most risen in 24 h: ", "24시간 상승률 순: ")
    )
    return head + listed(parts, q, "no prices yet", "아직 가격 없음") + "."


def spread_calls(q: Question) -> Sequence[Call]:
    return (("spread", a.OneSymbol(symbol=needed_symbol(q))),)


def say_spread(q: Question, results: Sequence[Any]) -> str:
    one: Spread = results[0]
    if one.spread is None:
        return q.say(
            f"{one.symbol}: bid {one.bid}, ask {one.ask}; one side is empty.",
            f"{one.symbol}: 매수호가 {one.bid}, 매도호가 {one.ask}; 한쪽이 비어 있습니다.",
        )
    return q.say(
        f"{one.symbol}: bid {one.bid}, ask {one.ask}, spread {one.spread} ({figure(one.spread_bips)} bips).",
        f"{one.symbol}: 매수호가 {one.bid}, 매도호가 {one.ask}, 스프레드 {one.spread} ({figure(one.spread_bips)} bips).",
    )


def depth_calls(q: Question) -> Sequence[Call]:
    return (("depth", a.Levels(symbol=needed_symbol(q), limit=5)),)


def say_depth(q: Question, results: Sequence[Any]) -> str:
    found = results[0]
    bids, asks = (", ".join(f"{size} @ {price}" for price, size in side) or "-" for side in (found.bids, found.asks))
    return q.say(f"{found.symbol} bids {bids}; asks {asks}.", f"{found.symbol} 매수호가 {bids}; 매도호가 {asks}.")


def trades_calls(q: Question) -> Sequence[Call]:
    return (("trades", a.Levels(symbol=needed_symbol(q), limit=5)),)


def say_trades(q: Question, results: Sequence[Any]) -> str:
    parts = [f"{one.taker_side} {one.quantity} @ {one.price}" for one in results[0].trades]
    head = q.say(f"Newest trades of {results[0].symbol}: ", f"{results[0].symbol} 최근 체결: ")
    return head + listed(parts, q, "none", "없음") + "."


def candle_calls(q: Question) -> Sequence[Call]:
    return (("candles", a.Candles(symbol=needed_symbol(q), interval=Interval(q.interval or "1m"), limit=5)),)


def say_candles(q: Question, results: Sequence[Any]) -> str:
    found = results[0]
    if not found.candles:
        return q.say(f"There are no candles of {found.symbol} yet.", f"{found.symbol} 캔들이 아직 없습니다.")
    one = found.candles[-1]
    return q.say(
        f"Newest {found.interval} candle of {found.symbol}: open {one.open}, high {one.high}, low {one.low}, close {one.close}, volume {one.volume}.",
        f"{found.symbol} 최근 {found.interval} 캔들: 시가 {one.open}, 고가 {one.high}, 저가 {one.low}, 종가 {one.close}, 거래량 {one.volume}.",
    )


def range_calls(q: Question) -> Sequence[Call]:
    to_ms = q.now_ns // MILLISECOND_NS
    from_ms = to_ms - DAY_MS
    if q.span is not None:
        from_ms, to_ms = q.span.from_ns // MILLISECOND_NS, q.span.to_ns // MILLISECOND_NS
    return (("price_range", a.SymbolInSpan(symbol=needed_symbol(q), from_ms=max(0, from_ms), to_ms=to_ms)),)


def _when(q: Question) -> str:
    return q.say("in the last 24 hours", "최근 24시간") if q.span is None else q.say(q.span.en, q.span.ko)


def say_range(q: Question, results: Sequence[Any]) -> str:
    one: PriceRange = results[0]
    if one.open is None:
        return q.say(f"{one.symbol} was not traded {_when(q)}.", f"{one.symbol}: {_when(q)} 체결이 없습니다.")
    return q.say(
        f"{one.symbol} {_when(q)}: open {one.open}, high {one.high}, low {one.low}, close {one.close}, change {figure(one.change_percent)} %, volume {one.volume}.",
        f"{one.symbol} {_when(q)}: 시가 {one.open}, 고가 {one.high}, 저가 {one.low}, 종가 {one.close}, 변동 {figure(one.change_percent)} %, 거래량 {one.volume}.",
    )


def say_volatility(q: Question, results: Sequence[Any]) -> str:
    one: PriceRange = results[0]
    if one.volatility_percent is None:
        return q.say(
            f"There are too few candles of {one.symbol} {_when(q)}.", f"{one.symbol}: {_when(q)} 캔들이 부족합니다."
        )
    return q.say(
        f"The volatility of {one.symbol} {_when(q)} is {figure(one.volatility_percent)} % a day.",
        f"{one.symbol} {_when(q)} 변동성은 하루 {figure(one.volatility_percent)} %입니다.",
    )
