"""What asks about own orders and fills, how orders are placed, or wishes to place or cancel some, by its words."""

import re
from typing import Final

from serve.assistant.intent import Intent, no_calls, words
from serve.assistant.names import Names
from serve.assistant.order_words import is_refusal, side_of
from serve.assistant.trading_answers import (
    explain_calls,
    fills_calls,
    history_calls,
    last_calls,
    open_calls,
    order_calls,
    order_id_of,
    say_explain,
    say_fees,
    say_fills,
    say_open,
    say_order,
    say_orders,
    say_summary,
    summary_calls,
)
from serve.assistant.wish_answers import (
    cancel_calls,
    how_to_calls,
    say_confirm,
    say_how_to,
    say_nothing_done,
    say_proposal,
    wish_calls,
)

_HOW_ORDER: Final = (
    r"(how (do|does|can|to|should|would|could)|explain|what('s| is| are)( an?| the)?|tell me about|"
    r"ways? to|example of|show me how)\b.*"
    r"\b(orders?|buy|sell|cancel|stop|limit|market order|trailing|iceberg|take profit)",
    r"(어떻게|방법|하는법|하려면|뭐야|뭔가요|무엇|뭐에요|뭐예요|설명|알려줘|란\?|이란).*(주문|사|팔|"
    r"매수|매도|취소|지정가|시장가|손절|익절|스탑|아이스버그|트레일링)|"
    r"(주문|매수|매도|취소|지정가|시장가|손절|익절|스탑|스톱|아이스버그|트레일링|사는|파는).*(어떻게|"
    r"방법|하는법|하려면|뭐야|뭔가요|무엇|뭐에요|뭐예요|이란|설명)",
)


def before(names: Names) -> tuple[Intent, ...]:
    """Wishes and how-to: before all that asks for figures."""
    return (
        Intent("confirm_in_words", lambda q: re.fullmatch(r"(yes|yep|ok|okay|confirm(ed)?|do it|go ahead|place it|yes please)[.! ]*", q.text) or re.fullmatch(r"(네|예|응|그래|확인|확정|좋아|진행해?(줘)?|실행해?(줘)?)[.!]*", q.tight), no_calls, say_confirm),
        Intent("nothing_done", is_refusal, no_calls, say_nothing_done),
        Intent("explain_order", lambda q: order_id_of(q) and q.has(r"why|explain|reason|how come", r"왜|이유|설명"), explain_calls, say_explain),
        Intent("how_to", lambda q: not order_id_of(q) and q.has(*_HOW_ORDER) and not q.has(r"how (much|many)|order ?book|order types?|types of order|(open|pending|last|latest|"
r"recent) orders?|minimum|\b(my|the) (open |last )?orders?\b(?!.*how)", r"얼마|호가|유형|종류|미체결|내역|최소|최근|수수료|내주문|사도|살까|팔까"), how_to_calls, say_how_to),
        Intent("propose_cancel", lambda q: q.has(r"\bcancel\b|\bwithdraw (my |the |all )*orders?", r"취소(해|하고싶|시켜|부탁|요청|$|할래|좀|줘)") and not q.has(r"\b(did|was|were|why|how|canceled|cancelled|history)\b", r"취소(된|됐|했|한)|왜|내역"), cancel_calls, say_proposal),
        Intent("propose_order", lambda q: side_of(q) is not None, wish_calls(names), say_proposal),
    )  # fmt: skip


INTENTS: Final[tuple[Intent, ...]] = (
    Intent("order", lambda q: order_id_of(q), order_calls, say_order),
    Intent(
        "open_orders",
        words(
            r"\b(open|pending|waiting|working|resting|unfilled|active|outstanding|live) (\w+ )?orders?|"
            r"orders? .*\b(still )?(open|pending|waiting|resting|unfilled)\b|not (yet )?filled",
            r"미체결|열린주문|열려있는주문|대기(중인)?주문|걸어(둔|놓은|논)|체결안된|남은주문|진행중인주문|주문대기",
        ),
        open_calls,
        say_open,
    ),
    Intent(
        "last_order",
        words(r"\b(last|latest|most recent|newest|previous) order\b", r"(마지막|방금|직전|가장최근)주문"),
        last_calls,
        say_orders,
    ),
    Intent(
        "fees_paid",
        words(
            r"\b(fees?|commissions?)\b.*\b(paid|spent|so far|in total|did|have i|charged|cost me)\b|\b(paid|"
            r"spent|total|did i|have i)\b.*\b(fees?|commissions?)\b",
            r"수수료.*(냈|낸|지불|총|썼|쓴|나갔|나왔|합계|들었|누적)|(총|낸|지불한|누적|나간)수수료",
        ),
        summary_calls,
        say_fees,
    ),
    Intent(
        "trade_summary",
        lambda q: (
            (q.span is not None and q.has(r"did i (buy|sell|trade)|\bmy trades", r"거래내역|체결내역|매매내역"))
            or words(
                r"how (much|many)\b.*\b(did|have) i (buy|sell|trade|bought|sold|traded)|\bmy (total )?(trading|"
                r"traded) (volume|summary|activity)|number of (my )?(trades|executions|fills)|how many (trades|"
                r"executions|fills)",
                r"(내|나의)?(거래|매매|체결)(횟수|건수|요약|금액|대금)|몇(번|건|회)(이나)?(거래|매매|체결|샀|팔)|"
                r"(거래|매매|체결)(을|를)?(몇번|몇건)|얼마나(샀|팔았|거래했|매매했|사고팔)|얼마(어치)?(샀|팔았)",
            )(q)
        ),
        summary_calls,
        say_summary,
    ),
    Intent(
        "executions",
        lambda q: (
            (
                q.has(
                    r"\bexecutions?\b|\bfills\b|(last|latest|recent) fill|\btrade history|what did i (buy|sell|trade)|"
                    r"\bmy (last |recent |latest |newest |own |\d+ )*trades?\b|trades? (did i|i made|have i)|i traded|"
                    r"^(trades|fills)$",
                    r"체결(내역|기록|목록|이력|된)|거래(내역|기록|이력)|매매(내역|기록)|최근(거래|체결)|내(거래|체결)|"
                    r"뭘?(을)?(샀|팔았)|무엇을(샀|팔았)",
                )
            )
            and not q.has(r"public|market trades", r"시장체결|체결창|공개")
        ),
        fills_calls,
        say_fills,
    ),
    Intent(
        "order_history",
        lambda q: (
            q.has(
                r"\borders?\b.*\b(history|list|past|previous|recent|last|all|placed|made)\b|\b(history|list|past|"
                r"previous|recent|last|latest|all|my|newest)\b.*\borders?\b|\borders? (did i|have i|i )|^orders?$",
                r"주문(내역|기록|이력|목록|현황|리스트|보여|들|확인|조회)|내주문|최근주문|지난주문|최근\d+(개|"
                r"건)(의)?주문",
            )
            and not q.has(r"order ?book|order types?|types of order|minimum|latency", r"유형|종류|최소|지연")
        ),
        history_calls,
        say_orders,
    ),
)
