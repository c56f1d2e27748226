"""Answers about own orders and fills, how orders are placed, and what was wished for."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from serve.assistant import arguments as a
from serve.assistant.figures import TradeSummary
from serve.assistant.intent import Ask, Call, counted, listed
from serve.assistant.question import Question
from serve.schema import Execution, OrderView

MILLISECOND_NS: Final = 1_000_000
SHOWN: Final = 5
MOST_OPEN: Final = 100
EVER_MS: Final = 0

_ORDER_ID: Final = re.compile(
    r"\borders?\b ?(?:id|no\.?|number|num)? ?[:#]? ?(\d{1,18})\b|#(\d{1,18})\b|주문(?:번호|아이디|"
    r"id)? ?[:#]? ?(\d{1,18})(?!\d| ?개| ?건)|(\d{1,18}) ?번 ?주문"
)


def order_id_of(q: Question) -> int | None:
    match = _ORDER_ID.search(q.raw.lower())
    return None if match is None else int(next(one for one in match.groups() if one)) or None


def _count(q: Question, default: int = SHOWN) -> int:
    match = re.search(
        r"\b(?:last|latest|recent|newest|top|first) (\d{1,3})\b(?! ?(?:m|h|d|min|hour|day|week))|"
        r"(?<![\d.])(\d{1,3})(?:개|건)",
        q.raw.lower(),
    )
    return default if match is None else min(100, max(1, int(match[1] or match[2])))


# -- orders and fills ---------------------------------------------------------------------------------------------


def one_order(q: Question, order: OrderView) -> str:
    price = f" @ {order.price}" if float(order.price) else ""
    stop = (
        "" if order.stop_price is msgspec.UNSET else q.say(f", stop {order.stop_price}", f", 스탑 {order.stop_price}")
    )
    return q.say(
        f"#{order.order_id} {order.side} {order.quantity} {order.symbol} {order.type}{price}{stop}, {order.status}, "
        f"executed {order.executed_quantity}",
        f"#{order.order_id} {SIDES[order.side]} {order.quantity} {order.symbol} {order.type}{price}{stop}, {order.status}, "
        f"체결 {order.executed_quantity}",
    )


SIDES: Final = {"BUY": "매수", "SELL": "매도"}


def open_calls(q: Question) -> Sequence[Call]:
    return (("orders", a.Orders(symbol=q.symbol, open=True, limit=MOST_OPEN)),)


def say_open(q: Question, results: Sequence[Any]) -> str:
    orders: list[OrderView] = results[0].orders
    if not orders:
        return q.say("You have no open orders.", "미체결 주문이 없습니다.")
    shown = "; ".join(one_order(q, one) for one in orders[:SHOWN])
    more = "" if len(orders) < MOST_OPEN else "+"
    return q.say(
        f"You have {counted(len(orders), 'open order')}{more}: {shown}.", f"미체결 주문 {len(orders)}건{more}: {shown}."
    )


def order_calls(q: Question) -> Sequence[Call]:
    order_id = order_id_of(q)
    assert order_id is not None
    return (("order", a.OneOrder(order_id=order_id)),)


def say_order(q: Question, results: Sequence[Any]) -> str:
    order: OrderView = results[0]
    average = (
        ""
        if order.average_price is None
        else q.say(f", average price {order.average_price}", f", 평균 체결가 {order.average_price}")
    )
    reason = "" if order.reason is None else q.say(f", reason {order.reason}", f", 사유 {order.reason}")
    return one_order(q, order) + average + reason + "."


def explain_calls(q: Question) -> Sequence[Call]:
    order_id = order_id_of(q)
    if order_id is None:
        raise Ask(
            "Which order? Name its id: `explain order 12`.",
            "어떤 주문인가요? 주문 번호를 알려 주세요: `주문 12 설명해줘`.",
        )
    return (("explain_order", a.OneOrder(order_id=order_id)),)


def say_explain(q: Question, results: Sequence[Any]) -> str:
    found = results[0]
    fills = "; ".join(
        f"{one.quantity} @ {one.price} ({one.liquidity}, {one.counterparty})" for one in found.fills[:SHOWN]
    )
    fills = fills or q.say("no fills", "체결 없음")
    return q.say(
        f"Order {found.order_id} ({found.side} {found.symbol}, {found.status}): {found.entry_text} Fills: {fills}.",
        f"주문 {found.order_id} ({SIDES[found.side]} {found.symbol}, {found.status}): {found.entry_text} 체결: {fills}.",
    )


def last_calls(q: Question) -> Sequence[Call]:
    return (("orders", a.Orders(symbol=q.symbol, limit=1)),)


def history_calls(q: Question) -> Sequence[Call]:
    return (("orders", a.Orders(symbol=q.symbol, limit=_count(q))),)


def say_orders(q: Question, results: Sequence[Any]) -> str:
    parts = [one_order(q, one) for one in results[0].orders]
    head = q.say("Your newest orders: ", "최근 주문: ")
    return head + listed(parts, q, "none", "없음") + "."


def fills_calls(q: Question) -> Sequence[Call]:
    return (("executions", a.Executions(symbol=q.symbol, limit=_count(q))),)


def _one_fill(q: Question, one: Execution) -> str:
    fee = q.say(f"fee {one.commission} {one.commission_asset}", f"수수료 {one.commission} {one.commission_asset}")
    return f"{q.say(one.side, SIDES[one.side])} {one.quantity} {one.symbol} @ {one.price} ({fee})"


def say_fills(q: Question, results: Sequence[Any]) -> str:
    parts = [_one_fill(q, one) for one in results[0].executions]
    head = q.say("Your newest fills: ", "최근 체결: ")
    return head + listed(parts, q, "none", "없음") + "."


def summary_calls(q: Question) -> Sequence[Call]:
    now_ms = q.now_ns // MILLISECOND_NS
    from_ms, to_ms = (
        (EVER_MS, now_ms) if q.span is None else (q.span.from_ns // MILLISECOND_NS, q.span.to_ns // MILLISECOND_NS)
    )
    return (("trade_summary", a.MaybeSymbolInSpan(symbol=q.symbol, from_ms=from_ms, to_ms=to_ms)),)


def _when(q: Question) -> str:
    return q.say("in all", "지금까지") if q.span is None else q.say(q.span.en, q.span.ko)


def _amounts(found: Sequence[Any]) -> str:
    return ", ".join(f"{one.amount} {one.asset}" for one in found) or "0"


def say_fees(q: Question, results: Sequence[Any]) -> str:
    found: TradeSummary = results[0]
    more = "" if found.complete else q.say(" There are more than could be read.", " 읽지 못한 체결이 더 있습니다.")
    return q.say(
        f"Fees paid {_when(q)}: {_amounts(found.fees)} ({counted(found.executions, 'execution')}).{more}",
        f"{_when(q)} 낸 수수료: {_amounts(found.fees)} (체결 {found.executions}건).{more}",
    )


def say_summary(q: Question, results: Sequence[Any]) -> str:
    found: TradeSummary = results[0]
    more = "" if found.complete else q.say(" There are more than could be read.", " 읽지 못한 체결이 더 있습니다.")
    return q.say(
        f"{_when(q)[:1].upper()}{_when(q)[1:]}: {counted(found.executions, 'execution')}, bought for {_amounts(found.bought)}, sold for "
        f"{_amounts(found.sold)}, fees {_amounts(found.fees)}.{more}",
        f"{_when(q)} 체결 {found.executions}건, 매수 {_amounts(found.bought)}, 매도 {_amounts(found.sold)}, "
        f"수수료 {_amounts(found.fees)}.{more}",
    )
