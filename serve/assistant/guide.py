"""How orders of each type are placed, changed and canceled: the request to send, with figures that this symbol would take now."""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from serve.errors import ApiError, Code
from serve.market_schema import SymbolInfo


class Guide(msgspec.Struct):
    topic: str
    method: str
    path: str
    body: dict[str, object]
    """Of a request that would be taken now."""
    en: str
    ko: str


TEXTS: Final[dict[str, tuple[str, str]]] = {
    "MARKET": (
        "A MARKET order trades at once at the prices the book shows. Give quantity, or quote_quantity to spend an amount.",
        "시장가(MARKET) 주문은 호가창의 가격으로 즉시 체결됩니다. 수량은 quantity, 금액으로 하려면 quote_quantity로 지정합니다.",
    ),
    "LIMIT": (
        "A LIMIT order trades at its price or better and rests in the book until then (time_in_force GTC; IOC and FOK do not rest).",
        "지정가(LIMIT) 주문은 지정한 가격 또는 더 좋은 가격에 체결되며, 그때까지 호가창에 남습니다 (time_in_force GTC; IOC와 FOK는 남지 않음).",
    ),
    "LIMIT_MAKER": (
        "A LIMIT_MAKER order only ever rests: it is refused when it would trade at once.",
        "LIMIT_MAKER(메이커 전용) 주문은 호가창에 남기만 하며, 즉시 체결될 주문이면 거부됩니다.",
    ),
    "STOP_LOSS": (
        "A STOP_LOSS order becomes a market order when the last price reaches stop_price (below the market for SELL, above for BUY).",
        "손절(STOP_LOSS) 주문은 현재가가 stop_price에 닿으면 시장가 주문이 됩니다 (매도는 현재가 아래, 매수는 위).",
    ),
    "STOP_LOSS_LIMIT": (
        "A STOP_LOSS_LIMIT order becomes a limit order at price when the last price reaches stop_price.",
        "STOP_LOSS_LIMIT 주문은 현재가가 stop_price에 닿으면 price의 지정가 주문이 됩니다.",
    ),
    "TAKE_PROFIT": (
        "A TAKE_PROFIT order becomes a market order when the last price reaches stop_price (above the market for SELL, below for BUY).",
        "익절(TAKE_PROFIT) 주문은 현재가가 stop_price에 닿으면 시장가 주문이 됩니다 (매도는 현재가 위, 매수는 아래).",
    ),
    "TAKE_PROFIT_LIMIT": (
        "A TAKE_PROFIT_LIMIT order becomes a limit order at price when the last price reaches stop_price.",
        "TAKE_PROFIT_LIMIT 주문은 현재가가 stop_price에 닿으면 price의 지정가 주문이 됩니다.",
    ),
    "TRAILING": (
        "A trailing stop follows the last price and goes off when it turns back by trailing_bips (1/10000).",
        "트레일링 스탑은 현재가를 따라가다가 trailing_bips(1/10000)만큼 되돌아오면 발동합니다.",
    ),
    "ICEBERG": (
        "An iceberg order is a GTC limit order that shows only display_quantity of its quantity at a time.",
        "아이스버그 주문은 수량 중 display_quantity만 보여 주는 GTC 지정가 주문입니다.",
    ),
    "CANCEL": (
        "Cancel an open order by its id, or all of them with DELETE /api/trading/orders (of one symbol: ?symbol=...).",
        "미체결 주문은 주문 번호로 취소하고, 전부 취소하려면 DELETE /api/trading/orders를 보냅니다 (한 종목만: ?symbol=...).",
    ),
    "AMEND": (
        "PATCH reduces an order's quantity and keeps its priority; PUT replaces it with another price and quantity.",
        "PATCH는 순서를 유지하며 수량을 줄이고, PUT은 다른 가격과 수량의 주문으로 바꿉니다.",
    ),
}  # fmt: skip
_STOPS: Final = {"STOP_LOSS": 1, "STOP_LOSS_LIMIT": 1, "TAKE_PROFIT": -1, "TAKE_PROFIT_LIMIT": -1}
"""Where the stop price of a BUY stands: above or below the market."""


def guide(topic: str, side: str, info: SymbolInfo, last: str | None) -> Guide:
    """VALIDATION for a topic that is none. Without a last price the example has no prices of the market."""
    if topic not in TEXTS:
        raise ApiError(Code.VALIDATION, f"Ask about one of {', '.join(TEXTS)}.", "topic")
    en, ko = TEXTS[topic]
    if topic in ("CANCEL", "AMEND"):
        method = "DELETE" if topic == "CANCEL" else "PATCH"
        body: dict[str, object] = {} if topic == "CANCEL" else {"quantity": info.min_quantity}
        return Guide(topic, method, "/api/trading/orders/{order_id}", body, en, ko)
    return Guide(topic, "POST", f"/api/trading/{side.lower()}", _example(topic, side, info, last), en, ko)


def _example(topic: str, side: str, info: SymbolInfo, last: str | None) -> dict[str, object]:
    kind = {"TRAILING": "STOP_LOSS", "ICEBERG": "LIMIT"}.get(topic, topic)
    market = Decimal(last or "1")
    tick = Decimal(info.tick_size)
    body: dict[str, object] = {"symbol": info.symbol, "type": kind, "quantity": _quantity(info, market)}
    away = Decimal("0.99") if side == "BUY" else Decimal("1.01")
    if kind in ("LIMIT", "LIMIT_MAKER"):
        body["price"] = _on(market * away, tick)
    if topic == "TRAILING":
        body["trailing_bips"] = 100
    elif kind in _STOPS:
        up = _STOPS[kind] if side == "BUY" else -_STOPS[kind]
        stop = market * (1 + up * Decimal("0.02"))
        body["stop_price"] = _on(stop, tick)
        if kind.endswith("LIMIT"):
            body["price"] = _on(stop, tick)
    if topic == "ICEBERG":
        whole = Decimal(_quantity(info, market))
        body["display_quantity"] = _on(max(whole / 2, Decimal(info.lot_size)), Decimal(info.lot_size))
    return body


def _quantity(info: SymbolInfo, market: Decimal) -> str:
    """For some three times the smallest value, so that it holds for prices near the market."""
    lot = Decimal(info.lot_size)
    least = max(Decimal(info.min_quantity), 3 * Decimal(info.min_notional) / market)
    return format((least / lot).to_integral_value(ROUND_CEILING) * lot, "f")


def _on(value: Decimal, step: Decimal) -> str:
    return format(max(step, (value / step).to_integral_value(ROUND_HALF_EVEN) * step), "f")
