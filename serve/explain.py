"""Why an order was filled as it was, from what the read models keep of queues, fills and a real venue's trades."""

from typing import Any, Final

from market.enums import FILL_MODEL_BIT, FILL_MODEL_MASK, Counterparty, FillModel, OrdStatus, OrdType, TimeInForce
from serve.explain_schema import ExplainedFill, Explanation, QueueFigures, VenuePrint
from serve.gateway import Gateway
from serve.orders import SIDES, STATUSES, Terms

MAX_FILLS: Final = 100
MAX_PRINTS: Final = 20
"""Of one fill."""
_TRADES_LOOKED_AT: Final = 100
"""Where a venue is followed nearly every trade is the venue's."""

_MODELS: Final = {
    FillModel.PROPORTIONAL: "What is canceled at its price was ahead of it in proportion to what stood ahead.",
    FillModel.BACK: "What is canceled at its price stood behind it, as long as that is possible.",
    FillModel.TOUCH: "Nobody is ahead of it: any trade at its price fills it.",
    FillModel.THROUGH: "Only a trade through its price, or a venue's quote that crosses it, fills it.",
}
_COUNTERPARTIES: Final = {
    Counterparty.USER: "Another user of this exchange.",
    Counterparty.OUTSIDE_LIQUIDITY: "The order took liquidity that the real venue showed.",
    Counterparty.VENUE_PRINT: "A trade at the real venue reached the order.",
    Counterparty.VENUE_QUOTE: "The real venue's quote crossed the order's price.",
}
_ENTRIES: Final = {
    "QUEUED": "It rested behind what the venue showed at its price.",
    "NOTHING_SHOWN": "The venue showed nothing at its price when it came to rest.",
    "NO_OUTSIDE_LIQUIDITY": "The symbol has no outside liquidity: users trade among themselves.",
    "NOT_RESTED": "It did not rest in the book.",
}
_OPEN: Final = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
_STAYS: Final = (OrdType.LIMIT, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT_LIMIT)

_FIRST_QUEUE: Final = "SELECT * FROM order_queue WHERE order_id = $1 ORDER BY exec_id LIMIT 1"
_HAS_VENUE: Final = (
    "SELECT count(venue_trade_id) FROM "
    "(SELECT venue_trade_id FROM trades WHERE symbol = $1 ORDER BY trade_id DESC LIMIT $2) AS newest"
)
_TAKEN: Final = (
    "SELECT coalesce(sum(qty_lots), 0) FROM executions WHERE account = $1 AND symbol = $2 AND order_id = $3 "
)
# An order trades with itself under TRANSFER and NONE: `is_maker` tells the two executions of one trade apart.
_FILLS: Final = (
    "SELECT e.*, q.ts_ns AS queue_ns, q.ahead_lots, q.by_trades_lots, q.by_cancels_lots, "
    "coalesce(lag(e.trade_id) OVER earlier, 0) AS since_id, coalesce(lag(e.ts_ns) OVER earlier, $4) AS since_ns "
    "FROM executions AS e LEFT JOIN order_queue AS q ON q.order_id = e.order_id AND q.trade_id = e.trade_id "
    "AND e.is_maker WHERE e.account = $1 AND e.symbol = $2 AND e.order_id = $3 "
    "WINDOW earlier AS (ORDER BY e.trade_id) ORDER BY e.trade_id DESC LIMIT $5"
)
# A tape does not go back in time: a trade on it may be told as a moment later than the fill by it.
_PRINTS: Final = (
    "SELECT fill.trade_id AS fill_id, print.* "
    "FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS fill (trade_id, since_id, since_ns, until_ns) "
    "CROSS JOIN LATERAL (SELECT trade_id, venue_trade_id, qty_lots, ts_ns, venue_ns, is_outside FROM trades "
    "WHERE symbol = $1 AND price_ticks = $2 AND trade_id > fill.since_id AND trade_id <= fill.trade_id "
    "AND ts_ns BETWEEN fill.since_ns AND fill.until_ns + 1000000000 AND venue_trade_id IS NOT NULL "
    "ORDER BY trade_id DESC LIMIT $7) AS print ORDER BY print.trade_id"
)


async def explanation(gateway: Gateway, terms: Terms, order: Any) -> Explanation:
    """`order`: its row of `all_orders`."""
    account, order_id, symbol = order["account"], order["order_id"], order["symbol"]
    entered_ns = order["created_ns"] if order["working_ns"] is None else order["working_ns"]
    rows = await gateway.pool.fetch(_FILLS, account, symbol, order_id, entered_ns, MAX_FILLS)
    fills = [_fill(terms, row) for row in reversed(rows)]
    await _tell_prints(gateway, terms, order, rows, fills)
    rests = order["ord_status"] in _OPEN and entered_ns > 0
    now = await gateway.queue_now(terms.symbol_id, order_id) if rests else None
    first = await gateway.pool.fetchrow(_FIRST_QUEUE, order_id)
    model = FillModel(order["flags"] >> FILL_MODEL_BIT & FILL_MODEL_MASK)
    entry = await _entry(gateway, order, entered_ns, first, now, model)
    return Explanation(
        order_id, symbol, SIDES[order["side"]], terms.ticks[order["price_ticks"]], STATUSES[order["ord_status"]],
        model.name, _MODELS[model], entry, _ENTRIES[entry], entered_ns or None,
        None if first is None or entry != "QUEUED" else _figures(terms, first["ts_ns"], first),
        None if now is None or now["figures"] is None else _now(terms, now["figures"]), fills,
        await gateway.order_latency(account, order_id),
    )  # fmt: skip


async def _entry(gateway: Gateway, order: Any, entered_ns: int, first: Any, now: Any, model: FillModel) -> str:
    if first is not None and first["ts_ns"] == entered_ns and first["trade_id"] is None:
        # By TOUCH nobody is ever ahead, whatever the venue showed.
        stood = first["ahead_lots"] + first["by_trades_lots"] + first["by_cancels_lots"]
        return "QUEUED" if stood or model is FillModel.TOUCH else "NOTHING_SHOWN"
    if first is None and not await _rested(gateway, order, entered_ns):
        return "NOT_RESTED"
    if first is not None or (now is not None and now["venue_levels"]):
        return "NOTHING_SHOWN"
    venues = await gateway.pool.fetchval(_HAS_VENUE, order["symbol"], _TRADES_LOOKED_AT)
    return "NOTHING_SHOWN" if venues else "NO_OUTSIDE_LIQUIDITY"


async def _rested(gateway: Gateway, order: Any, entered_ns: int) -> bool:
    if not entered_ns:
        return False
    if order["ord_type"] == OrdType.LIMIT_MAKER:
        return True
    if order["ord_type"] not in _STAYS or order["time_in_force"] != TimeInForce.GTC:
        return False
    named = (order["account"], order["symbol"], order["order_id"])
    taken = await gateway.pool.fetchval(_TAKEN + "AND NOT is_maker", *named)
    return bool(taken < order["qty_lots"])


def _figures(terms: Terms, at_ns: int, row: Any) -> QueueFigures:
    lots = terms.lots
    return QueueFigures(at_ns, lots[row["ahead_lots"]], lots[row["by_trades_lots"]], lots[row["by_cancels_lots"]])


def _now(terms: Terms, figures: list[int]) -> QueueFigures:
    ahead, by_trades, by_cancels = (terms.lots[one] for one in figures)
    return QueueFigures(None, ahead, by_trades, by_cancels)


def _fill(terms: Terms, row: Any) -> ExplainedFill:
    counterparty = Counterparty(row["counterparty"])
    return ExplainedFill(
        row["trade_id"], row["ts_ns"], terms.ticks[row["price_ticks"]], terms.lots[row["qty_lots"]],
        "MAKER" if row["is_maker"] else "TAKER", counterparty.name, _COUNTERPARTIES[counterparty],
        None if row["queue_ns"] is None else _figures(terms, row["queue_ns"], row), [],
    )  # fmt: skip


async def _tell_prints(gateway: Gateway, terms: Terms, order: Any, rows: Any, fills: list[ExplainedFill]) -> None:
    """Into the fills as a maker: the venue's trades at the order's price that came before or with each."""
    made = [row for row in rows if row["is_maker"]]
    if not made:
        return
    columns = [[row[name] for row in made] for name in ("trade_id", "since_id", "since_ns", "ts_ns")]
    found = await gateway.pool.fetch(_PRINTS, order["symbol"], order["price_ticks"], *columns, MAX_PRINTS)
    by_id = {one.trade_id: one for one in fills if one.liquidity == "MAKER"}
    for row in found:
        by_id[row["fill_id"]].prints.append(
            VenuePrint(
                row["trade_id"],
                row["venue_trade_id"],
                terms.lots[row["qty_lots"]],
                row["ts_ns"],
                row["venue_ns"],
                not row["is_outside"],
            )
        )
