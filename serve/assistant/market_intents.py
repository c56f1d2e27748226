"""Questions about the market and about the exchange itself."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal

from serve.assistant import arguments as a
from serve.assistant.figures import PriceRange, Spread
from serve.assistant.intent import Ask, Call, Intent, figure, listed, needed_symbol, no_calls, words
from serve.assistant.question import Question
from serve.assistant.telling import told
from serve.prediction_schema import AnalysisView, PredictionView
from serve.schema import Interval, SymbolInfo, Ticker

MILLISECOND_NS: Final = 1_000_000
DAY_MS: Final = 86_400_000
SHOWN: Final = 10
MOST_AT_ONCE: Final = 4
_RANGE: Final = (
    r"\bhigh(est)?\b|\blow(est)?\b|\bmax(imum)?\b|\bmin(imum)?\b|\brange\b|\bpeak\b|\bbottom\b|\bchang|\bmoved?\b|\brose\b|\bfell\b|\bopen(ed|ing)?\b|"
    r"\bclos(e|ed|ing)\b|\bup\b|\bdown\b|\bdrop|\bgain|perform",
    r"고가|저가|최고|최저|고점|저점|시가|종가|변동|올랐|올랐|내렸|등락|상승|하락|떨어졌|변했|움직|범위|수익률",
)


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


# -- predictions --------------------------------------------------------------------------------------------------


def prediction_calls(q: Question) -> Sequence[Call]:
    symbol = needed_symbol(q)
    match = re.search(r"(?<!\d)(10) ?(?:s|초)|(?<!\d)(1|15) ?(?:m|분)|(?<!\d)(1) ?(?:h|시간)", q.raw.lower())
    horizon: Literal["10s", "1m", "15m", "1h"] = "15m"
    if match is not None:
        horizon = "10s" if match[1] else "1h" if match[3] else "1m" if match[2] == "1" else "15m"
    elif q.has(r"\bhour\b", r"한시간"):
        horizon = "1h"
    elif q.has(r"\bminute\b", r"일분"):
        horizon = "1m"
    return (("prediction", a.Prediction(symbol=symbol, horizon=horizon)),)


def say_prediction(q: Question, results: Sequence[Any]) -> str:
    found: PredictionView = results[0]
    one = found.forecasts[0]
    up, low, high, volatility = (figure(value) for value in (one.up, one.low, one.high, one.volatility))
    worth = ""
    if not found.better_than_naive:
        worth = q.say(
            " It was not found better than the naive baseline.", " 단순 기준 모델보다 낫다고 확인되지 않은 모델입니다."
        )
    return q.say(
        f"Model {found.model} (version {found.version}) gives {found.symbol} at {found.price} a probability of {up} to be higher in "
        f"{found.horizon}; its return is between {low} and {high} in eight of ten cases, volatility {volatility}.{worth} This is no advice.",
        f"모델 {found.model} (버전 {found.version}): {found.symbol} (현재 {found.price})이 {found.horizon} 뒤 오를 확률은 {up}, "
        f"수익률은 열 번 중 여덟 번 {low} ~ {high}, 변동성 {volatility}.{worth} 투자 조언이 아닙니다.",
    )


def analysis_calls(q: Question) -> Sequence[Call]:
    return (("analysis", a.OneSymbol(symbol=needed_symbol(q))),)


def say_analysis(q: Question, results: Sequence[Any]) -> str:
    found: AnalysisView = results[0]
    if found.trend is None:
        return q.say(
            f"Too little is known of {found.symbol} yet: {found.candles} candles of {found.interval}.",
            f"{found.symbol}의 데이터가 아직 부족합니다: {found.interval} 캔들 {found.candles}개.",
        )
    signals = "; ".join(f"{one.side} {one.indicator} ({one.reason})" for one in found.signals[:SHOWN])
    return q.say(
        f"{found.symbol} by candles of {found.interval}: trend {found.trend.state} ({found.trend.reason}), volatility {found.volatility.regime}, "
        f"signal score {figure(found.signal_score)}; signals: {signals or 'none'}. This is no advice.",
        f"{found.symbol} {found.interval} 캔들 기준: 추세 {found.trend.state} ({found.trend.reason}), 변동성 {found.volatility.regime}, "
        f"신호 점수 {figure(found.signal_score)}; 신호: {signals or '없음'}. 투자 조언이 아닙니다.",
    )


def models_calls(_: Question) -> Sequence[Call]:
    return (("models", a.Nothing()),)


def say_models(q: Question, results: Sequence[Any]) -> str:
    parts = [
        q.say(f"{one.model} version {one.version} for {one.horizon}", f"{one.model} 버전 {one.version} ({one.horizon})")
        for one in results[0].models
    ]
    return q.say("Promoted models: ", "사용 중인 모델: ") + listed(parts[:SHOWN], q, "none", "없음") + "."


# -- symbols and the exchange -------------------------------------------------------------------------------------


def symbol_calls(q: Question) -> Sequence[Call]:
    return (("symbols", a.MaybeSymbol(symbol=q.symbol)),)


def filter_calls(q: Question) -> Sequence[Call]:
    return (("symbols", a.MaybeSymbol(symbol=needed_symbol(q))),)


def say_symbols(q: Question, results: Sequence[Any]) -> str:
    names = ", ".join(one.symbol for one in results[0].symbols)
    return q.say(f"Traded here: {names}.", f"거래 종목: {names}.")


def say_filters(q: Question, results: Sequence[Any]) -> str:
    one: SymbolInfo = results[0].symbols[0]
    return q.say(
        f"{one.symbol}: smallest quantity {one.min_quantity}, lot {one.lot_size}, tick {one.tick_size}, order value {one.min_notional} to "
        f"{one.max_notional} {one.quote_asset}, largest quantity {one.max_quantity} (MARKET {one.market_max_quantity}), {one.max_num_orders} open orders.",
        f"{one.symbol}: 최소 수량 {one.min_quantity}, 수량 단위 {one.lot_size}, 호가 단위 {one.tick_size}, 주문 금액 {one.min_notional} ~ "
        f"{one.max_notional} {one.quote_asset}, 최대 수량 {one.max_quantity} (시장가 {one.market_max_quantity}), 미체결 최대 {one.max_num_orders}건.",
    )


def say_fees(q: Question, results: Sequence[Any]) -> str:
    one: SymbolInfo = results[0].symbols[0]
    maker, taker = (format((Decimal(rate) * 100).normalize(), "f") for rate in (one.maker_fee, one.taker_fee))
    return q.say(
        f"Your fees: maker {one.maker_fee} ({maker} %), taker {one.taker_fee} ({taker} %).",
        f"내 수수료율: 메이커 {one.maker_fee} ({maker} %), 테이커 {one.taker_fee} ({taker} %).",
    )


def say_order_types(q: Question, results: Sequence[Any]) -> str:
    one: SymbolInfo = results[0].symbols[0]
    types, tifs = ", ".join(one.order_types), ", ".join(one.time_in_force)
    return q.say(f"Order types: {types}; time in force: {tifs}.", f"주문 유형: {types}; 유효 조건: {tifs}.")


def status_calls(_: Question) -> Sequence[Call]:
    return (("status", a.Nothing()),)


def say_status(q: Question, results: Sequence[Any]) -> str:
    one = results[0]
    return q.say(
        f"The exchange is {one.status} (version {one.version}), {one.symbols} symbols, up for {figure(one.uptime_s)} s; the feed is {one.feed.kind}.",
        f"거래소 상태는 {one.status}입니다 (버전 {one.version}). 종목 {one.symbols}개, 가동 {figure(one.uptime_s)}초, 시세원 {one.feed.kind}.",
    )


def time_calls(_: Question) -> Sequence[Call]:
    return (("market_time", a.Nothing()),)


def say_time(q: Question, results: Sequence[Any]) -> str:
    one = results[0]
    return q.say(
        f"Market time is {one.market_time} ({one.mode}, {one.state}).",
        f"시장 시각은 {one.market_time}입니다 ({one.mode}, {one.state}).",
    )


def profile_calls(_: Question) -> Sequence[Call]:
    return (("profile", a.Nothing()),)


def say_profile(q: Question, results: Sequence[Any]) -> str:
    profile = results[0].profile
    fees = profile.fees
    return q.say(
        f"Your profile: fees {fees.name} (maker {fees.maker_ppm} ppm, taker {fees.taker_ppm} ppm), fill model {profile.fill_model}, order latency {told(profile.order_latency)}.",
        f"내 프로필: 수수료 등급 {fees.name} (메이커 {fees.maker_ppm} ppm, 테이커 {fees.taker_ppm} ppm), 체결 모델 {profile.fill_model}, 주문 지연 {told(profile.order_latency)}.",
    )


def say_help(q: Question, _: Sequence[Any]) -> str:
    return q.say(
        "Ask me about your balances, positions, profit, orders, fills, fees and risk; about prices, changes, candles, spread, order book, "
        "symbols, predictions and analysis; how to place or cancel an order; or have me propose one: I place nothing until you confirm it.",
        "잔고, 포지션, 손익, 주문, 체결, 수수료, 위험; 시세, 변동, 캔들, 스프레드, 호가, 종목, 예측, 분석; 주문과 취소 방법을 물어보세요. "
        "주문을 제안해 드릴 수도 있으며, 확인하시기 전에는 주문하지 않습니다.",
    )


def say_hello(q: Question, results: Sequence[Any]) -> str:
    return q.say("Hello. ", "안녕하세요. ") + say_help(q, results)


def say_thanks(q: Question, _: Sequence[Any]) -> str:
    return q.say("You are welcome.", "천만에요.")


__all__ = ["INTENTS", "Ask"]

_DAY: Final = r"^in the last (24 hours|1 day)$"


def _in_span(q: Question) -> bool:
    return q.span is not None and not re.match(_DAY, q.span.en)


INTENTS: Final[tuple[Intent, ...]] = (
    Intent("hello", lambda q: re.match(r"(hi|hello|hey|good (morning|afternoon|evening))\b[^a-z]*$", q.text) or re.match(r"^(안녕|반가|하이)[가-힣]{0,4}[!.~?]*$", q.tight), no_calls, say_hello),
    Intent("thanks", lambda q: re.match(r"(thanks?|thank you|thx)\b", q.text) or re.match(r"고마|감사", q.tight), no_calls, say_thanks),
    Intent("order_types", words(r"(order types?|types? of orders?|kinds? of orders?)", r"주문(유형|종류|타입|방식)|종류의주문"), symbol_calls, say_order_types),
    Intent("my_fees", words(r"\bfees?\b|\bcommissions?\b", r"수수료"), symbol_calls, say_fees),
    Intent("filters", words(r"\bminimum\b|\bmin (order|qty|quantity|amount|notional|size)|\btick\b|\blot\b|step size|filters?\b|max(imum)? (order|quantity|size)|order size|smallest|price increment|how (little|small)", r"최소|호가단위|틱|주문단위|수량단위|필터|최대(주문|수량)"), filter_calls, say_filters),
    Intent("profile", words(r"\bprofile\b|\blatency\b|fill model", r"프로필|프로파일|지연|체결모델"), profile_calls, say_profile),
    Intent("movers", words(r"gainers?|losers?|movers?|\b(top|biggest|best|worst|most|strongest|weakest)\b.*\b(gain|los|mov|perform|rose|risen|rising|fell|fallen|falling|up|down|coins?|symbols?)|which\b.*\b(up|down|rose|fell|gained|lost|moved)\b.*\bmost", r"(가장|제일|많이)(많이)?(오른|내린|상승|하락|떨어진|움직|빠진)|급등|급락|상승률(순|상위|높)|등락률(순|상위)|하락률"), all_prices, say_movers),
    Intent("spread", words(r"spread|bid.?(and|/|&|-)?.?ask|best (bid|ask|offer)|\b(bid|ask) price|\bthe (bid|ask)\b|mid.?price|\bbid\b", r"스프레드|호가차이|매수호가|매도호가|최우선호가|중간가"), spread_calls, say_spread),
    Intent("depth", words(r"order ?book|\bdepth\b|liquidity|\blevels\b|\bbids\b|\basks\b", r"호가창|호가|오더북|뎁스|매물대|유동성"), depth_calls, say_depth),
    Intent("models", words(r"\bmodels\b|(which|what) model|how (good|accurate) (is|are) the (prediction|forecast|model)", r"모델"), models_calls, say_models),
    Intent("prediction", words(r"predict|forecast|going to (rise|fall|go|drop|increase)|\bwill\b.*\b(rise|fall|go|increase|drop|be worth|happen|pump|dump|up|down)\b|outlook|where is .* (going|headed)", r"예측|예상(?!금액)|전망|오를까|내릴까|떨어질까|오를것|내릴것|오르나|갈까|오를지|내릴지"), prediction_calls, say_prediction),
    Intent("analysis", words(r"analy[sz]|indicators?\b|\brsi\b|\bmacd\b|\bsignals?\b|regime|\btrend|technical|support level|resistance|correlat|should i (buy|sell|hold)|good time to|worth (buying|selling)|sentiment|bullish|bearish", r"분석|지표|신호|시그널|추세|국면|상관|사도|살까|팔까|팔아도|매수해도|매도해도|매수할까|매도할까|지지선|저항|rsi|macd"), analysis_calls, say_analysis),
    Intent("volatility", lambda q: q.has(r"volatil", r"변동성") and q.symbol, range_calls, say_volatility),
    Intent("candles", words(r"candles?\b|klines?\b|\bohlcv?\b|\bchart\b|\bbars?\b", r"봉|캔들|차트"), candle_calls, say_candles),
    Intent("trades", words(r"\b(public|market|recent|latest|last|newest) (\w+ )?trades?\b|\btrades? (of|in|on|for)\b|\btape\b|time and sales", r"시장체결|체결창|체결|공개체결"), trades_calls, say_trades),
    Intent("price_range", lambda q: _in_span(q) and q.symbol and q.has(*_RANGE), range_calls, say_range),
    Intent("volume", words(r"volume|how much\b.*\btraded|turnover", r"거래량|거래대금"), price_calls, say_volume),
    Intent("high_low", lambda q: q.symbol and q.has(r"\bhigh(est)?\b|\blow(est)?\b|\bpeak\b|24 ?h range|day range", r"고가|저가|최고|최저|고점|저점"), one_symbol, say_high_low),
    Intent("change", lambda q: (q.symbol or q.has(r"market", r"시장|코인들")) and q.has(r"\bchang|\bup\b|\bdown\b|\bmoved?\b|\brose\b|\brisen\b|\bfell\b|\bgain|\bdrop|24 ?h|perform|doing", r"변동|등락|올랐|내렸|떨어졌|상승|하락|변화|전일대비|수익률|올라|내려"), price_calls, say_change),
    Intent("time", words(r"what time|market time|server time|exchange time|current time|what('s| is) the (time|date)|date (is it|today)|\bclock\b", r"몇시|시간이(야|에요|뭐|어떻)|현재시각|현재시간|서버시간|시장시간|시장시각|날짜|며칠|시각"), time_calls, say_time),
    Intent("price", words(r"\bprices?\b|\bquotes?\b|how much (is|does|are|for|would)|\bworth\b|\bcosts?\b|\brate\b|trading at|value of|\bgoing for\b|last trade", r"가격|시세|현재가|얼마|값|싯가"), price_calls, say_price),
    Intent("symbols", words(r"symbols?\b|\b(what|which|list|all|available|how many)\b.*\b(coins?|pairs?|markets?|instruments?|cryptos?|assets?|tokens?)\b|what can i (trade|buy)|tradable|listed", r"종목|어떤코인|무슨코인|거래가능한|거래할수있는|상장|코인(목록|리스트|종류)|몇개의?코인"), lambda _: (("symbols", a.MaybeSymbol()),), say_symbols),
    Intent("status", words(r"\bstatus\b|\b(exchange|server|market|system|feed|everything|it)\b.*\b(ok|okay|up|working|running|alive|healthy|open|online|down)\b|uptime|\bversion\b|healthy", r"상태|서버|정상|작동|버전|가동|시장이?열"), status_calls, say_status),
    Intent("help", words(r"\bhelp\b|what (can|do|could) (you|i)( do| ask| answer)?\b|who are you|how (do|does) (you|this|it) work|what are you|capabilit", r"도움|뭐할수|뭘할수|무엇을할|할수있(어|니|나|는)|누구(야|니|세요)|사용법|기능|뭐물어|무엇을물어|알려줄수"), no_calls, say_help),
)  # fmt: skip
