"""Questions about own orders and fills, how orders are placed, and wishes to place or cancel some."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from serve.assistant import arguments as a
from serve.assistant.figures import TradeSummary
from serve.assistant.guide import Guide
from serve.assistant.intent import Ask, Call, Intent, listed, words
from serve.assistant.names import Names
from serve.assistant.order_words import arguments_of, is_refusal, order_words, side_of
from serve.assistant.proposing import ProposeCancel, ProposeOrder
from serve.assistant.question import Question
from serve.assistant.schema import Proposal
from serve.schema import Execution, OrderView

MILLISECOND_NS: Final = 1_000_000
SHOWN: Final = 5
EVER_MS: Final = 0

_ORDER_ID: Final = re.compile(
    r"\borders?\b ?(?:id|no\.?|number|num)? ?[:#]? ?(\d{1,18})\b|#(\d{1,18})\b|주문(?:번호|아이디|id)? ?[:#]? ?(\d{1,18})(?!\d| ?개| ?건)|(\d{1,18}) ?번 ?주문"
)


def order_id_of(q: Question) -> int | None:
    match = _ORDER_ID.search(q.raw.lower())
    return None if match is None else int(next(one for one in match.groups() if one)) or None


def _count(q: Question, default: int = SHOWN) -> int:
    match = re.search(
        r"\b(?:last|latest|recent|newest|top|first) (\d{1,3})\b(?! ?(?:m|h|d|min|hour|day|week))|(?<![\d.])(\d{1,3})(?:개|건)",
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
        f"#{order.order_id} {_SIDES[order.side]} {order.quantity} {order.symbol} {order.type}{price}{stop}, {order.status}, "
        f"체결 {order.executed_quantity}",
    )


_SIDES: Final = {"BUY": "매수", "SELL": "매도"}


def open_calls(q: Question) -> Sequence[Call]:
    return (("orders", a.Orders(symbol=q.symbol, open=True, limit=100)),)


def say_open(q: Question, results: Sequence[Any]) -> str:
    orders: list[OrderView] = results[0].orders
    if not orders:
        return q.say("You have no open orders.", "미체결 주문이 없습니다.")
    shown = "; ".join(one_order(q, one) for one in orders[:SHOWN])
    count = f"{len(orders)}+" if len(orders) == 100 else str(len(orders))
    return q.say(f"You have {count} open orders: {shown}.", f"미체결 주문 {count}건: {shown}.")


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
        f"주문 {found.order_id} ({_SIDES[found.side]} {found.symbol}, {found.status}): {found.entry_text} 체결: {fills}.",
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
    return f"{q.say(one.side, _SIDES[one.side])} {one.quantity} {one.symbol} @ {one.price} ({fee})"


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
        f"Fees paid {_when(q)}: {_amounts(found.fees)} ({found.executions} executions).{more}",
        f"{_when(q)} 낸 수수료: {_amounts(found.fees)} (체결 {found.executions}건).{more}",
    )


def say_summary(q: Question, results: Sequence[Any]) -> str:
    found: TradeSummary = results[0]
    more = "" if found.complete else q.say(" There are more than could be read.", " 읽지 못한 체결이 더 있습니다.")
    return q.say(
        f"{_when(q)[:1].upper()}{_when(q)[1:]}: {found.executions} executions, bought for {_amounts(found.bought)}, sold for "
        f"{_amounts(found.sold)}, fees {_amounts(found.fees)}.{more}",
        f"{_when(q)} 체결 {found.executions}건, 매수 {_amounts(found.bought)}, 매도 {_amounts(found.sold)}, "
        f"수수료 {_amounts(found.fees)}.{more}",
    )


# -- how to -------------------------------------------------------------------------------------------------------

_TOPICS: Final = (
    ("TRAILING", r"trailing", r"트레일링"), ("ICEBERG", r"iceberg|hidden", r"아이스버그|빙산"),
    ("LIMIT_MAKER", r"limit.?maker|post.?only|\bmaker\b", r"메이커|포스트온리"),
    ("AMEND", r"amend|modify|change|edit|replace", r"정정|수정|변경|바꾸"), ("CANCEL", r"cancel", r"취소"),
    ("TAKE_PROFIT_LIMIT", r"take.?profit.?limit", r"익절지정가"), ("TAKE_PROFIT", r"take.?profit", r"익절"),
    ("STOP_LOSS_LIMIT", r"stop.?(loss.?)?limit", r"(스탑|스톱|손절)(로스)?(리밋|지정가)"), ("STOP_LOSS", r"stop", r"손절|스탑|스톱"),
    ("LIMIT", r"\blimit", r"지정가"),
)  # fmt: skip


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


def wish_calls(names: Names) -> Any:
    def calls(q: Question) -> Sequence[Call]:
        side = side_of(q)
        assert side is not None
        made = order_words(q, side, names)
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
        return (("propose_order", msgspec.convert(arguments_of(q, made), ProposeOrder)),)

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
        f"제안: {order['symbol']} {what} {_SIDES[side]}, {order['type']}{price}.{figures}{thin} 60초 안에 확인해 주세요. 그 전에는 주문하지 않습니다.",
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


def no_calls(_: Question) -> Sequence[Call]:
    return ()


def instant(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


_HOW_ORDER: Final = (
    r"(how (do|does|can|to|should|would|could)|explain|what('s| is| are)( an?| the)?|tell me about|ways? to|example of|show me how)\b.*"
    r"\b(orders?|buy|sell|cancel|stop|limit|market order|trailing|iceberg|take profit)",
    r"(어떻게|방법|하는법|하려면|뭐야|뭔가요|무엇|뭐에요|뭐예요|설명|알려줘|란\?|이란).*(주문|사|팔|매수|매도|취소|지정가|시장가|손절|익절|스탑|아이스버그|트레일링)|"
    r"(주문|매수|매도|취소|지정가|시장가|손절|익절|스탑|스톱|아이스버그|트레일링|사는|파는).*(어떻게|방법|하는법|하려면|뭐야|뭔가요|무엇|뭐에요|뭐예요|이란|설명)",
)


def before(names: Names) -> tuple[Intent, ...]:
    """Wishes and how-to: before all that asks for figures."""
    return (
        Intent("confirm_in_words", lambda q: re.fullmatch(r"(yes|yep|ok|okay|confirm(ed)?|do it|go ahead|place it|yes please)[.! ]*", q.text) or re.fullmatch(r"(네|예|응|그래|확인|확정|좋아|진행해?(줘)?|실행해?(줘)?)[.!]*", q.tight), no_calls, say_confirm),
        Intent("nothing_done", is_refusal, no_calls, say_nothing_done),
        Intent("explain_order", lambda q: order_id_of(q) and q.has(r"why|explain|reason|how come", r"왜|이유|설명"), explain_calls, say_explain),
        Intent("how_to", lambda q: not order_id_of(q) and q.has(*_HOW_ORDER) and not q.has(r"how (much|many)|order ?book|order types?|types of order|(open|pending|last|latest|recent) orders?|minimum|\b(my|the) (open |last )?orders?\b(?!.*how)", r"얼마|호가|유형|종류|미체결|내역|최소|최근|수수료|내주문|사도|살까|팔까"), how_to_calls, say_how_to),
        Intent("propose_cancel", lambda q: q.has(r"\bcancel\b|\bwithdraw (my |the |all )*orders?", r"취소(해|하고싶|시켜|부탁|요청|$|할래|좀|줘)") and not q.has(r"\b(did|was|were|why|how|canceled|cancelled|history)\b", r"취소(된|됐|했|한)|왜|내역"), cancel_calls, say_proposal),
        Intent("propose_order", lambda q: side_of(q) is not None, wish_calls(names), say_proposal),
    )  # fmt: skip


INTENTS: Final[tuple[Intent, ...]] = (
    Intent("order", lambda q: order_id_of(q), order_calls, say_order),
    Intent("open_orders", words(r"\b(open|pending|waiting|working|resting|unfilled|active|outstanding|live) (\w+ )?orders?|orders? .*\b(still )?(open|pending|waiting|resting|unfilled)\b|not (yet )?filled", r"미체결|열린주문|열려있는주문|대기(중인)?주문|걸어(둔|놓은|논)|체결안된|남은주문|진행중인주문|주문대기"), open_calls, say_open),
    Intent("last_order", words(r"\b(last|latest|most recent|newest|previous) order\b", r"(마지막|방금|직전|가장최근)주문"), last_calls, say_orders),
    Intent("fees_paid", words(r"\b(fees?|commissions?)\b.*\b(paid|spent|so far|in total|did|have i|charged|cost me)\b|\b(paid|spent|total|did i|have i)\b.*\b(fees?|commissions?)\b", r"수수료.*(냈|낸|지불|총|썼|쓴|나갔|나왔|합계|들었|누적)|(총|낸|지불한|누적|나간)수수료"), summary_calls, say_fees),
    Intent("trade_summary", lambda q: (q.span is not None and q.has(r"did i (buy|sell|trade)|\bmy trades", r"거래내역|체결내역|매매내역")) or words(r"how (much|many)\b.*\b(did|have) i (buy|sell|trade|bought|sold|traded)|\bmy (total )?(trading|traded) (volume|summary|activity)|number of (my )?(trades|executions|fills)|how many (trades|executions|fills)", r"(내|나의)?(거래|매매|체결)(횟수|건수|요약|금액|대금)|몇(번|건|회)(이나)?(거래|매매|체결|샀|팔)|(거래|매매|체결)(을|를)?(몇번|몇건)|얼마나(샀|팔았|거래했|매매했|사고팔)|얼마(어치)?(샀|팔았)")(q), summary_calls, say_summary),
    Intent("executions", lambda q: (q.has(r"\bexecutions?\b|\bfills\b|(last|latest|recent) fill|\btrade history|what did i (buy|sell|trade)|\bmy (last |recent |latest |newest |own |\d+ )*trades?\b|trades? (did i|i made|have i)|i traded|^(trades|fills)$", r"체결(내역|기록|목록|이력|된)|거래(내역|기록|이력)|매매(내역|기록)|최근(거래|체결)|내(거래|체결)|뭘?(을)?(샀|팔았)|무엇을(샀|팔았)")) and not q.has(r"public|market trades", r"시장체결|체결창|공개"), fills_calls, say_fills),
    Intent("order_history", lambda q: q.has(r"\borders?\b.*\b(history|list|past|previous|recent|last|all|placed|made)\b|\b(history|list|past|previous|recent|last|latest|all|my|newest)\b.*\borders?\b|\borders? (did i|have i|i )|^orders?$", r"주문(내역|기록|이력|목록|현황|리스트|보여|들|확인|조회)|내주문|최근주문|지난주문|최근\d+(개|건)(의)?주문") and not q.has(r"order ?book|order types?|types of order|minimum|latency", r"유형|종류|최소|지연"), history_calls, say_orders),
)  # fmt: skip
