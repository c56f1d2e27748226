"""An order in words: `buy 0.01 BTC at market`, `비트코인 0.01개 90000달러에 사줘`. Pure.

Each number is told apart by what stands before and after it. What is missing is asked for; nothing is made up but that an
order without a price is a market order.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from serve.assistant.names import Names
from serve.assistant.question import Question
from serve.assistant.words import COINS

_BUY: Final = (
    r"\b(buy|purchase)\b",
    r"사줘|사주|사라|사자|살래|사고싶|사다오|매수(?!한|평균|단가|가격|호가|세)|구매(?!한|력)",
)
_SELL: Final = (r"\b(sell|dump|liquidate)\b", r"팔아|팔래|팔고싶|팔자|팔라|매도(?!한|호가|세|가격)|처분")
_ASKS: Final = (
    r"^(what|which|how|why|when|where|who|did|do|does|should|is|are|was|were|have|has|if)\b|\b(should|did|can|could|may) i\b|"
    r"\b(bought|sold|history|when i)\b|\bworth (buying|selling)\b",
    r"할까|살까|팔까|사도|팔아도|매수해도|매도해도|방법|어떻게|내역|기록|했어|했니|했지|했나|했는|샀|팔았|하는법|되나|뭐야|무엇|왜|언제|얼마나",
)
_NO: Final = (
    r"\b(don'?t|do not|never|not to|without|stop) (buy|sell|purchas)",
    r"사지마|팔지마|매수하지|매도하지|사지말|팔지말|하지마",
)
_ALL: Final = (r"\b(all|everything|entire|whole|max(imum)?)\b", r"전부|모두|전량|몽땅|다팔|싹다|올인|최대한")
_HALF: Final = (r"\bhalf\b", r"절반|반만|반을|반팔")
_NUMBER: Final = re.compile(r"(\$?) ?(?<![\d.a-z])(\d+(?:\.\d+)?|\.\d+) ?(k\b|만|천)?")
_SCALES: Final = {"k": 1000, "만": 10_000, "천": 1000}
_MONEY: Final = r"(usdt|usdc|usd|dollars?|bucks?|달러|불|테더|tether|원|krw)"
_STOP_BEFORE: Final = re.compile(
    r"(stop|trigger|스탑|스톱|트리거|손절|익절|profit|loss|\btp|\bsl|below|above|under|over|(?:falls?|drops?|rises?|goes?|gets?) (?:up |down |back )?to"
    r"|reaches|hits)[ -]*(limit|price|loss|가격|가|선)?[ ]*(of|at|is|=|:|to|을|를|은|는)?[ ]*\$?[ ]*$"
)
_PRICE_BEFORE: Final = re.compile(
    r"(\bat|@|price|limit|지정가|가격|단가|\bfor)[ ]*(of|at|is|=|:|은|는|으로|로|price)?[ ]*\$?[ ]*$"
)
_SHOWN_BEFORE: Final = re.compile(r"(show|shows|showing|display|displaying|visible|보이는수량|표시)[ ]*(only|of)?[ ]*$")


@dataclass(slots=True)
class OrderWords:
    side: str
    symbol: str | None = None
    quantity: str | None = None
    quote: str | None = None
    price: str | None = None
    stop: str | None = None
    shown: str | None = None
    bips: int | None = None
    share: float | None = None

    @property
    def has_amount(self) -> bool:
        return any(one is not None for one in (self.quantity, self.quote, self.share))


def is_refusal(q: Question) -> bool:
    return bool(q.has(*_NO))


def side_of(q: Question) -> str | None:
    """BUY or SELL of a question that wishes to trade; None of one that asks about trading."""
    buys, sells = q.has(*_BUY), q.has(*_SELL)
    wish = q.has(
        r"\b(please|want|like to|could you|can you|go ahead|let's|place|put)\b", r"줘|주세요|싶|부탁|해라|걸어|넣어"
    )
    if q.has(*_ASKS) and not (wish and not q.has(r"\b(should|did|how|what)\b", r"방법|어떻게|까\??$|내역")):
        return None
    if bool(buys) == bool(sells):
        return None
    return "BUY" if buys else "SELL"


def order_words(q: Question, side: str, names: Names) -> OrderWords:
    made = OrderWords(side, q.symbol)
    text = " ".join(q.raw.lower().split())
    trailing = bool(q.has(r"trail", r"트레일링"))
    for match in _NUMBER.finditer(text):
        value = Decimal(match[2]) * _SCALES.get(match[3] or "", 1)
        told = format(value.normalize(), "f") if match[3] else match[2]
        before, after = text[: match.start()], text[match.end() :].lstrip()
        _place(made, told, bool(match[1]), before, after, _bases(made.symbol, names), trailing)
    if made.stop is None and made.price is not None and q.has(r"\bstop|take.?profit", r"손절|익절|스탑|스톱"):
        made.stop, made.price = made.price, None
    if not made.has_amount:
        made.share = 1.0 if q.has(*_ALL) else 0.5 if q.has(*_HALF) else None
    return made


def _bases(symbol: str | None, names: Names) -> str:
    base = names.base_of(symbol) if symbol in names.symbols and symbol is not None else (symbol or "")
    return "|".join(re.escape(one.lower()) for one in (symbol or "-", base, *COINS.get(base, ())) if one)


def _place(made: OrderWords, told: str, dollars: bool, before: str, after: str, bases: str, trailing: bool) -> None:
    """Put one number where it belongs."""
    if re.match(r"(%|percent|퍼센트|프로)", after):
        if trailing:
            made.bips = int(Decimal(told) * 100)
        elif 0 < Decimal(told) <= 100:
            made.share = float(Decimal(told) / 100)
        return
    if trailing and re.match(r"(bips?|bps?)\b", after):
        made.bips = int(Decimal(told))
        return
    if re.match(r"(초|분|시간|seconds?|minutes?|hours?|번 ?주문)", after):
        return
    money = re.match(_MONEY, after)
    rest = after[money.end() :].lstrip() if money else after
    if _SHOWN_BEFORE.search(before) or re.match(r"(개)?씩", rest):
        made.shown = told
    elif re.match(rf"({bases}|개|coins?\b)", after) and made.quantity is None and not _STOP_BEFORE.search(before):
        made.quantity = told
    elif money and re.match(r"(어치|만큼|치|worth|of\b)", rest):
        made.quote = told
    elif _STOP_BEFORE.search(before) or re.match(
        r"(이|가|으로|로|까지|에)? ?(되면|닿으면|도달|내려가|올라가|떨어지|오르면|내리면)", rest
    ):
        made.stop, made.price = (told, made.price) if made.stop is None else (made.stop, told)
    elif (
        _PRICE_BEFORE.search(before) and not (before.rstrip(" $").endswith("for") and made.quantity is None)
    ) or re.match(r"(에|으로|로)(?![가-힣])|(에|으로|로)(사|팔|매|지)", rest):
        made.price = told
    elif (money or dollars) and made.quote is None:
        made.quote = told
    elif made.quantity is None:
        made.quantity = told
    elif made.price is None:
        made.price = told


def order_type(q: Question, made: OrderWords) -> str:
    """By what was said of it, else by its prices."""
    if made.stop is not None or made.bips is not None:
        name = "TAKE_PROFIT" if q.has(r"take.?profit|\btp\b", r"익절") else "STOP_LOSS"
        return f"{name}_LIMIT" if made.price is not None else name
    if made.price is None:
        return "MARKET"
    return "LIMIT_MAKER" if q.has(r"post.?only|\bmaker\b", r"메이커|포스트온리") else "LIMIT"


def arguments_of(q: Question, made: OrderWords) -> dict[str, Any]:
    """Of `propose_order`."""
    kind = order_type(q, made)
    found: dict[str, Any] = {
        "side": made.side, "symbol": made.symbol, "type": kind, "quantity": made.quantity, "price": made.price,
        "stop_price": made.stop, "trailing_bips": made.bips, "display_quantity": made.shown,
    }  # fmt: skip
    if made.quantity is None:
        found |= {"quote_quantity": made.quote, "share": made.share if made.quote is None else None}
    if kind in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT") and (tif := q.has(r"\b(ioc|fok)\b", r"(ioc|fok)")):
        found["time_in_force"] = tif[1].upper()
    return {name: value for name, value in found.items() if value is not None}
