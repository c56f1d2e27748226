"""Answers about predictions, about symbols and the exchange, and the words of courtesy."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from serve.assistant import arguments as a
from serve.assistant.intent import Call, figure, listed, needed_symbol
from serve.assistant.market_answers import SHOWN
from serve.assistant.question import Question
from serve.assistant.telling import told
from serve.market_schema import SymbolInfo
from serve.prediction_schema import AnalysisView, PredictionView


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
