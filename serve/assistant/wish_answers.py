"""Answers about how orders are placed, and to wishes to place or cancel some: proposals."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from serve.assistant import arguments as a
from serve.assistant.guide import Guide
from serve.assistant.intent import Ask, Call
from serve.assistant.names import Names
from serve.assistant.order_words import arguments_of, order_words, side_of
from serve.assistant.proposing import ProposeCancel
from serve.assistant.question import Question
from serve.assistant.schema import Proposal
from serve.assistant.trading_answers import SIDES, order_id_of

_TOPICS: Final = (
    ("TRAILING", r"trailing", r"트레일링"),
    ("ICEBERG", r"iceberg|hidden", r"아이스버그|빙산"),
    ("LIMIT_MAKER", r"limit.?maker|post.?only|\bmaker\b", r"메이커|포스트온리"),
    ("AMEND", r"amend|modify|change|edit|replace", r"정정|수정|변경|바꾸"),
    ("CANCEL", r"cancel", r"취소"),
    ("TAKE_PROFIT_LIMIT", r"take.?profit.?limit", r"익절지정가"),
    ("TAKE_PROFIT", r"take.?profit", r"익절"),
    ("STOP_LOSS_LIMIT", r"stop.?(loss.?)?limit", r"(스탑|스톱|손절)(로스)?(리밋|지정가)"),
    ("STOP_LOSS", r"stop", r"손절|스탑|스톱"),
    ("LIMIT", r"\blimit", r"지정가"),
)


def how_to_calls(q: Question) -> Sequence[Call]:
    topic = next((name for name, en, ko in _TOPICS if q.has(en, ko)), "MARKET")
    side = "SELL" if q.has(r"\bsell", r"매도|팔") else "BUY"
    return (("how_to", a.HowTo(topic=topic, side=side, symbol=q.symbol)),)


def say_how_to(q: Question, results: Sequence[Any]) -> str:
    found: Guide = results[0]
    request = f"{found.method} {found.path}"
    if found.body:
        request += " " + msgspec.json.encode(found.body).decode()
    here = "" if found.topic in ("CANCEL", "AMEND") else q.say(
        " Or tell me, and confirm what I propose.", " 또는 저에게 말씀하시고 제안을 확인해 주세요."
    )  # fmt: skip
    return f"{q.say(found.en, found.ko)} {request}{here}"


# -- wishes -------------------------------------------------------------------------------------------------------


ONE_AT_A_TIME: Final = ("One order at a time, please.", "주문은 한 번에 하나씩 말씀해 주세요.")


def wish_calls(names: Names) -> Any:
    def calls(q: Question) -> Sequence[Call]:
        side = side_of(q)
        assert side is not None
        if len(q.found.symbols) + len(q.found.strangers) > 1:
            raise Ask(*ONE_AT_A_TIME)
        made = order_words(q, side, names)
        if made.price is not None and made.stop is None and q.has(r"\bmarket\b", r"시장가"):
            raise Ask(
                "A market order has no price: say market, or the price.",
                "시장가 주문에는 가격이 없습니다. 시장가 또는 가격 하나만 말씀해 주세요.",
            )
        if made.symbol is None:
            raise Ask(
                "Which symbol? For example: buy 0.01 BTC at market.",
                "어떤 종목인가요? 예: 비트코인 0.01개 시장가로 사줘.",
            )
        if not made.has_amount:
            raise Ask(
                f"How much? For example: {side.lower()} 0.01 {made.symbol}, or an amount such as 100 USDT.",
                "얼마나 할까요? 예: 비트코인 0.01개, 또는 100 USDT어치.",
            )
        return (("propose_order", arguments_of(q, made)),)

    return calls


def say_proposal(q: Question, results: Sequence[Any]) -> str:
    found: Proposal = results[0]
    if found.kind == "cancel":
        return q.say(
            f"I propose to cancel order {found.order_id} ({found.symbol}). Confirm within 60 s; until then nothing is done.",
            f"주문 {found.order_id} ({found.symbol}) 취소를 제안합니다. 60초 안에 확인해 주세요. 그 전에는 아무것도 하지 않습니다.",
        )
    if found.kind == "cancel_all":
        what = q.say(
            *(
                ("all open orders", "모든 미체결 주문")
                if found.symbol is None
                else (f"all open orders in {found.symbol}", f"{found.symbol}의 모든 미체결 주문")
            )
        )
        return q.say(
            f"I propose to cancel {what}. Confirm within 60 s; until then nothing is done.",
            f"{what} 취소를 제안합니다. 60초 안에 확인해 주세요. 그 전에는 아무것도 하지 않습니다.",
        )
    return _say_order_proposal(q, found)


def _say_order_proposal(q: Question, found: Proposal) -> str:
    order, estimate = found.order, found.estimate
    assert order is not None
    assert estimate is not None
    amount = order.get("quantity") or order.get("quote_quantity")
    what = q.say("", "금액 ") + str(amount) if "quantity" not in order else str(amount)
    price = "".join(
        f", {name} {order[name]}"
        for name in ("price", "stop_price", "trailing_bips", "display_quantity", "time_in_force")
        if name in order
    )
    thin = (
        ""
        if estimate.enough_liquidity
        else q.say(" The book does not hold so much now.", " 지금 호가창의 물량이 부족합니다.")
    )
    figures = "" if estimate.value is None else q.say(
        f" Estimated value {estimate.value}, average price {estimate.price}, fee at most {estimate.fee} {estimate.fee_asset}; "
        f"it uses {estimate.uses} of {estimate.free} {estimate.uses_asset} free.",
        f" 예상 금액 {estimate.value}, 평균 가격 {estimate.price}, 수수료 최대 {estimate.fee} {estimate.fee_asset}; "
        f"사용 가능 {estimate.free} {estimate.uses_asset} 중 {estimate.uses} 사용.",
    )  # fmt: skip
    side = str(found.side)
    return q.say(
        f"I propose: {side} {what} {order['symbol']} {order['type']}{price}.{figures}{thin} Confirm within 60 s; until then nothing is placed.",
        f"제안: {order['symbol']} {what} {SIDES[side]}, {order['type']}{price}.{figures}{thin} 60초 안에 확인해 주세요. 그 전에는 주문하지 않습니다.",
    )


def cancel_calls(q: Question) -> Sequence[Call]:
    order_id = order_id_of(q)
    if order_id is not None:
        return (("propose_cancel", ProposeCancel(order_id=order_id)),)
    if q.symbol is None and not q.has(r"\b(all|every|everything|orders)\b", r"전부|모두|모든|전체|다취소|싹다|일괄"):
        raise Ask(
            "Which order? Name its id, a symbol, or say all.",
            "어떤 주문을 취소할까요? 주문 번호나 종목, 또는 전부라고 말씀해 주세요.",
        )
    return (("propose_cancel", ProposeCancel(symbol=q.symbol)),)


def say_nothing_done(q: Question, _: Sequence[Any]) -> str:
    return q.say(
        "Nothing was placed, and nothing will be unless you confirm it.",
        "아무 주문도 하지 않았습니다. 확인하시기 전에는 주문하지 않습니다.",
    )


def say_confirm(q: Question, _: Sequence[Any]) -> str:
    return q.say(
        "To confirm, send the proposal's `confirmation` as `confirm`; words alone place nothing.",
        "확인하려면 제안의 `confirmation` 값을 `confirm`으로 보내 주세요. 말만으로는 주문되지 않습니다.",
    )
