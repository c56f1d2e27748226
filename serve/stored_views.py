"""What the tables and the list of instruments hold, as the API tells it: orders, executions, symbols."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

from market.enums import Side
from market.instrument import PPM, from_steps, from_units
from market.profile import FeeTier
from serve.market_schema import SymbolInfo
from serve.orders import ENDED, ORD_TYPES, REASON_NAMES, SIDES, STATUSES, TIFS, Terms, average_price, tell_conditions
from serve.schema import Execution, OrderView, OrdTypeName, StpName

_CONDITIONS: Final = (
    "stop_price_ticks", "display_lots", "trailing_bips", "peg_type", "peg_offset", "list_id", "working_ns",
)  # fmt: skip


def order_view(terms: Terms, row: Any) -> OrderView:
    """From a row of the `orders` table."""
    lots, status, cum, cum_quote = terms.lots, row["ord_status"], row["cum_qty_lots"], int(row["cum_quote_units"])
    told = OrderView(
        row["order_id"], row["client_order_id"], terms.symbol, SIDES[row["side"]], ORD_TYPES[row["ord_type"]],
        TIFS[row["time_in_force"]], STATUSES[status], terms.ticks[row["price_ticks"]], lots[row["qty_lots"]],
        lots[cum], lots[row["leaves_lots"] if status not in ENDED else 0], terms.quotes[cum_quote],
        average_price(terms, cum, cum_quote) if cum else None, REASON_NAMES[row["reason"]], row["created_ns"],
        row["updated_ns"],
    )  # fmt: skip
    conditions = {name: row.get(name) or 0 for name in _CONDITIONS}
    tell_conditions(told, terms, SimpleNamespace(ord_type=row["ord_type"], **conditions))
    return told


def execution_view(terms: Terms, row: Any) -> Execution:
    """From a row of the `executions` table."""
    asset = terms.base if row["side"] == Side.BUY else terms.quote
    return Execution(
        row["trade_id"], row["order_id"], terms.instrument.symbol, SIDES[row["side"]], row["is_maker"],
        from_steps(row["price_ticks"], terms.tick), from_steps(row["qty_lots"], terms.lot),
        from_units(row["quote_units"], terms.quote.scale), from_units(row["commission_units"], asset.scale),
        asset.name, row["ts_ns"],
    )  # fmt: skip


def symbol_info(terms: Terms, fees: FeeTier) -> SymbolInfo:
    """`fees`: of who asks."""
    one = terms.instrument

    def ratio(ppm: int) -> str:
        return format((Decimal(ppm) / PPM).normalize(), "f")

    return SymbolInfo(
        one.symbol, one.base.name, one.quote.name, "TRADING",
        format(one.tick.normalize(), "f"), format(one.lot.normalize(), "f"),
        from_steps(one.min_price_ticks, one.tick), from_steps(one.max_price_ticks, one.tick),
        from_steps(one.min_qty_lots, one.lot), from_steps(one.max_qty_lots, one.lot),
        from_steps(one.market_max_qty_lots, one.lot), from_units(one.min_notional_units, one.quote.scale),
        from_units(one.max_notional_units, one.quote.scale), ratio(one.bid_multiplier_up_ppm),
        ratio(one.bid_multiplier_down_ppm), ratio(one.ask_multiplier_up_ppm), ratio(one.ask_multiplier_down_ppm),
        one.max_num_orders, [str(x) for x in OrdTypeName], TIFS, [str(x) for x in StpName], ratio(fees.maker_ppm), ratio(fees.taker_ppm),
        terms.symbol_id, one.base.scale, one.quote.scale,
    )  # fmt: skip
