"""Answers about the asker's own account: what is there, what was earned, what is risked."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from serve.assistant import arguments as a
from serve.assistant.figures import EquityChange, Risk, Spread
from serve.assistant.intent import Call, figure, listed
from serve.assistant.question import Question
from serve.schema import Balance, Portfolio, Position

MILLISECOND_NS: Final = 1_000_000


def portfolio(_: Question) -> Sequence[Call]:
    return (("portfolio", a.Nothing()),)


def risk(_: Question) -> Sequence[Call]:
    return (("risk", a.Nothing()),)


# -- balances -----------------------------------------------------------------------------------------------------


def _held(balances: Sequence[Balance]) -> list[Balance]:
    return [one for one in balances if Decimal(one.free) or Decimal(one.locked)]


def _one_balance(q: Question, one: Balance) -> str:
    return q.say(
        f"{one.asset}: {one.free} free, {one.locked} locked in orders",
        f"{one.asset}: 사용 가능 {one.free}, 주문에 묶임 {one.locked}",
    )


def say_balance(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    wanted = q.found.assets
    if not wanted:
        parts = [_one_balance(q, one) for one in _held(found.balances)]
        return q.say("Your balances: ", "내 잔고: ") + listed(parts, q, "nothing", "없음") + "."
    known = {one.asset: one for one in found.balances}
    parts = [
        _one_balance(q, known[asset]) if asset in known else q.say(f"{asset}: none", f"{asset}: 없음")
        for asset in wanted
    ]
    return q.say("Your balance: ", "내 잔고: ") + "; ".join(parts) + "."


def buying_power_calls(q: Question) -> Sequence[Call]:
    if q.symbol is None:
        return portfolio(q)
    return (
        ("portfolio", a.Nothing()),
        ("spread", a.OneSymbol(symbol=q.symbol)),
        ("symbols", a.MaybeSymbol(symbol=q.symbol)),
    )


def say_buying_power(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if len(results) == 1:
        free = next((one.free for one in found.balances if one.asset == found.reference_asset), "0")
        return q.say(
            f"You can spend {free} {found.reference_asset}.",
            f"사용할 수 있는 금액은 {free} {found.reference_asset}입니다.",
        )
    spread: Spread = results[1]
    info = results[2].symbols[0]
    free = next((one.free for one in found.balances if one.asset == info.quote_asset), "0")
    if spread.ask is None:
        return q.say("Nobody offers any of it now.", "지금은 매도 호가가 없습니다.")
    lot = Decimal(info.lot_size)
    most = format((Decimal(free) / Decimal(spread.ask) / lot).to_integral_value(ROUND_FLOOR) * lot, "f")
    return q.say(
        f"With {free} {info.quote_asset} free and the best ask at {spread.ask}, about {most} {info.base_asset}.",
        f"사용 가능한 {free} {info.quote_asset}와 최우선 매도호가 {spread.ask} 기준으로 약 {most} {info.base_asset}를 살 수 있습니다.",
    )


def say_equity(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if found.equity is None:
        return q.say(
            "Your equity is not known now: an asset has no price.",
            "지금은 가격이 없는 자산이 있어 총자산을 알 수 없습니다.",
        )
    return q.say(
        f"Your equity is {found.equity} {found.reference_asset}.",
        f"총자산은 {found.equity} {found.reference_asset}입니다.",
    )


# -- positions and profit -----------------------------------------------------------------------------------------


def _positions(q: Question, found: Portfolio) -> list[Position]:
    wanted = q.found.symbols
    return [one for one in found.positions if (one.symbol in wanted if wanted else Decimal(one.quantity))]


def say_positions(q: Question, results: Sequence[Any]) -> str:
    parts = [
        q.say(
            f"{one.symbol}: {one.quantity} at an average of {one.average_price}, value {one.value}, "
            f"unrealised profit {one.unrealised_profit}",
            f"{one.symbol}: {one.quantity}개, 평균단가 {one.average_price}, 평가금액 {one.value}, 미실현 손익 {one.unrealised_profit}",
        )
        for one in _positions(q, results[0])
    ]
    head = q.say("Your positions: ", "보유 포지션: ")
    return head + listed(parts, q, "none", "없음") + "."


def say_average(q: Question, results: Sequence[Any]) -> str:
    parts = [
        q.say(f"{one.symbol}: {one.average_price}", f"{one.symbol}: {one.average_price}")
        for one in _positions(q, results[0])
        if one.average_price is not None
    ]
    head = q.say("Your average purchase price: ", "평균 매수단가: ")
    return head + listed(parts, q, "you hold none of it", "보유하고 있지 않습니다") + "."


def say_profit(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if q.found.symbols:
        parts = [
            q.say(
                f"{one.symbol}: realised {one.realised_profit}, unrealised {one.unrealised_profit}",
                f"{one.symbol}: 실현 손익 {one.realised_profit}, 미실현 손익 {one.unrealised_profit}",
            )
            for one in found.positions
            if one.symbol in q.found.symbols
        ]
        return q.say("Your profit: ", "손익: ") + listed(parts, q, "you never traded it", "거래한 적이 없습니다") + "."
    unrealised = found.unrealised_profit or q.say("unknown", "알 수 없음")
    return q.say(
        f"Realised profit {found.realised_profit}, unrealised {unrealised} {found.reference_asset}.",
        f"실현 손익 {found.realised_profit}, 미실현 손익 {unrealised} {found.reference_asset}입니다.",
    )


def change_calls(q: Question) -> Sequence[Call]:
    assert q.span is not None
    to_ms = q.span.to_ns // MILLISECOND_NS if q.span.to_ns < q.now_ns else None
    return (("equity_change", a.Since(from_ms=q.span.from_ns // MILLISECOND_NS, to_ms=to_ms)),)


def say_change(q: Question, results: Sequence[Any]) -> str:
    found: EquityChange = results[0]
    assert q.span is not None
    if found.change is None:
        return q.say(f"Your equity {q.span.en} is not known.", f"{q.span.ko} 자산 기록이 없습니다.")
    return q.say(
        f"Your equity {q.span.en} changed by {found.change} {found.asset} ({figure(found.change_percent)} %): "
        f"from {found.before} to {found.after}.",
        f"{q.span.ko} 자산 변동은 {found.change} {found.asset} ({figure(found.change_percent)} %)입니다: "
        f"{found.before}에서 {found.after}.",
    )


def say_best(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    ranked = [
        (Decimal(one.realised_profit) + Decimal(one.unrealised_profit), one)
        for one in found.positions
        if one.unrealised_profit is not None
    ]
    if not ranked:
        return q.say("You have no positions.", "포지션이 없습니다.")
    worst = q.has(r"worst|lost|loss|losing|least", r"최악|손실|잃|나쁜|안좋은")
    _, one = (min if worst else max)(ranked, key=lambda pair: pair[0])
    return q.say(
        f"{one.symbol}: realised profit {one.realised_profit}, unrealised {one.unrealised_profit}.",
        f"{one.symbol}입니다: 실현 손익 {one.realised_profit}, 미실현 손익 {one.unrealised_profit}.",
    )


def say_allocation(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    parts = [f"{one.asset} {figure(one.share)}" for one in _held(found.balances) if one.share is not None]
    head = q.say("Shares of your portfolio (1 is all of it): ", "포트폴리오 비중 (1이 전체): ")
    return head + listed(parts, q, "nothing", "없음") + "."


# -- risk ---------------------------------------------------------------------------------------------------------


def say_exposure(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    return q.say(
        f"Your exposure is {found.exposure} {found.asset}, {figure(found.exposure_share)} of your equity; cash {found.cash}.",
        f"노출 금액은 {found.exposure} {found.asset}, 총자산의 {figure(found.exposure_share)}입니다. 현금은 {found.cash}입니다.",
    )


def say_concentration(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.largest_holding is None:
        return q.say("You hold nothing but cash.", "현금 외에 보유한 자산이 없습니다.")
    return q.say(
        f"Concentration (Herfindahl, 1 is a single coin): {figure(found.concentration)}. Largest holding: "
        f"{found.largest_holding}, {figure(found.largest_share)} of your equity.",
        f"집중도(허핀달, 1이면 한 종목)는 {figure(found.concentration)}입니다. 최대 보유는 {found.largest_holding}, "
        f"총자산의 {figure(found.largest_share)}입니다.",
    )


def say_largest(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.largest_holding is None:
        return q.say("You hold nothing but cash.", "현금 외에 보유한 자산이 없습니다.")
    return q.say(
        f"Your largest holding is {found.largest_holding}: {found.largest_value} {found.asset}, "
        f"{figure(found.largest_share)} of your equity.",
        f"가장 큰 보유 자산은 {found.largest_holding}입니다: {found.largest_value} {found.asset}, 총자산의 {figure(found.largest_share)}.",
    )


def say_drawdown(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.max_drawdown_percent is None:
        return q.say("Your equity of the last day is not known yet.", "최근 하루의 자산 기록이 아직 없습니다.")
    return q.say(
        f"Your largest drawdown in the last day is {figure(found.max_drawdown_percent)} % ({found.minutes} minutes known).",
        f"최근 하루 최대 낙폭은 {figure(found.max_drawdown_percent)} %입니다 (기록 {found.minutes}분).",
    )


def say_volatility(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.volatility_percent is None:
        return q.say("Your equity is not known long enough for it yet.", "변동성을 계산할 자산 기록이 아직 부족합니다.")
    return q.say(
        f"The volatility of your equity is {figure(found.volatility_percent)} % a day ({found.minutes} minutes known).",
        f"내 자산의 변동성은 하루 {figure(found.volatility_percent)} %입니다 (기록 {found.minutes}분).",
    )


def say_risk(q: Question, results: Sequence[Any]) -> str:
    if results[0].largest_holding is None:
        return say_exposure(q, results)
    return " ".join(say(q, results) for say in (say_exposure, say_concentration, say_drawdown))


def say_whoami(q: Question, results: Sequence[Any]) -> str:
    one = results[0]
    return q.say(
        f"You are {one.username}; your role is {one.role}.", f"{one.username} 님이고, 역할은 {one.role}입니다."
    )


def say_paused(q: Question, results: Sequence[Any]) -> str:
    if results[0].paused:
        return q.say(
            "Trading is paused for your account; POST /api/v1/trading/control resumes it.",
            "이 계정의 거래는 일시정지 상태입니다. POST /api/v1/trading/control로 재개합니다.",
        )
    return q.say("Trading is not paused for your account.", "이 계정의 거래는 정지되어 있지 않습니다.")


def say_foreign(q: Question, _: Sequence[Any]) -> str:
    return q.say(
        "I see your own account only, nobody else's.",
        "본인 계정만 볼 수 있습니다. 다른 사용자의 계정은 볼 수 없습니다.",
    )
