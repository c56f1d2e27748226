"""Parameters by declaration, and orders from them: each mistake has the venue's code and words."""

from typing import Any

import numpy as np
import pytest

from actors.wire import commands_of
from market.enums import CommandFlag, OrdType, Side, StpMode, TimeInForce
from market.instrument import assets_of
from market.universe import instruments
from serve.binance import new_order
from serve.binance.errors import BinanceError
from serve.binance.list_params import OcoParams, leg
from serve.binance.lists import check_oco
from serve.binance.new_order import NewOrder, leg_of, new_command
from serve.binance.numbers import Scale
from serve.binance.params import Params, Reading
from serve.orders import OrderDesk

VENUE = instruments(3)
DESK = OrderDesk(VENUE, assets_of(VENUE))
ORDERS = Reading(NewOrder, DESK)
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.001",
    "price": "50000",
}
MARKET = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.001"}
DECIMAL = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"


def read(values: dict[str, str], strict: bool = True) -> NewOrder:
    return ORDERS.read(dict(values), 2, strict)


def command(values: dict[str, str]) -> Any:
    p = read(values)
    packed = new_command(Scale(p.symbol), 7, leg_of(p), b"mine")
    return commands_of([packed])[0]


def refused(values: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(BinanceError) as raised:
        command(values)
    return raised.value.code, raised.value.msg


def without(values: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in values.items() if name not in names}


def missing(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def not_required(name: str) -> tuple[int, str]:
    return -1106, f"Parameter '{name}' sent when not required."


def illegal(name: str, legal: str) -> tuple[int, str]:
    return -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."


def test_a_limit_order() -> None:
    made = command(LIMIT | {"selfTradePreventionMode": "EXPIRE_MAKER", "timeInForce": "IOC"})
    assert (made["side"], made["ord_type"], made["time_in_force"]) == (Side.BUY, OrdType.LIMIT, TimeInForce.IOC)
    assert (made["price_ticks"], made["qty_lots"], made["quote_units"]) == (5_000_000, 100, 0)
    assert (made["account"], made["symbol"], made["stp_mode"]) == (7, 0, StpMode.EXPIRE_MAKER)
    assert made["client_order_id"] == b"mine"
    assert made["expected_leaves"] == -1


def test_market_orders() -> None:
    by_quantity, by_quote = command(MARKET), command(without(MARKET, "quantity") | {"quoteOrderQty": "12.5"})
    assert (by_quantity["qty_lots"], by_quantity["flags"]) == (100, 0)
    assert (by_quote["qty_lots"], by_quote["quote_units"]) == (0, 1_250_000_000)
    assert by_quote["flags"] == CommandFlag.BY_QUOTE


@pytest.mark.parametrize("name", ["symbol", "side", "type", "timeInForce", "quantity", "price"])
def test_what_a_limit_order_must_have(name: str) -> None:
    assert refused(without(LIMIT, name)) == missing(name)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"symbol": "NOPEUSDT"}, (-1121, "Invalid symbol.")),
        ({"symbol": "btcusdt"}, illegal("symbol", "^[A-Z0-9-_.]{1,20}$")),
        ({"symbol": "A" * 21}, illegal("symbol", "^[A-Z0-9-_.]{1,20}$")),
        ({"side": "buy"}, (-1117, "Invalid side.")),
        ({"type": "ICEBERG"}, (-1116, "Invalid orderType.")),
        ({"timeInForce": "GTX"}, (-1115, "Invalid timeInForce.")),
        ({"selfTradePreventionMode": "OFTEN"}, (-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")),
        ({"newOrderRespType": "SHORT"}, (-1130, "Data sent for parameter 'newOrderRespType' is not valid.")),
        ({"quantity": ""}, (-1105, "Parameter 'quantity' was empty.")),
        ({"quantity": "-1"}, illegal("quantity", DECIMAL)),
        ({"quantity": "1e3"}, illegal("quantity", DECIMAL)),
        ({"quantity": ".5"}, illegal("quantity", DECIMAL)),
        ({"quantity": "1."}, illegal("quantity", DECIMAL)),
        ({"quantity": "٣"}, illegal("quantity", DECIMAL)),
        ({"quantity": "1" * 21}, illegal("quantity", DECIMAL)),
        ({"quantity": "0.000000001"}, (-1111, "Parameter 'quantity' has too much precision.")),
        ({"price": "0.0000000001"}, (-1111, "Parameter 'price' has too much precision.")),
        ({"quantity": "99999999999999999999"}, (-1108, "Parameter 'quantity' overflowed.")),
        ({"quantity": "0"}, (-1013, "Invalid quantity.")),
        ({"price": "0"}, (-1013, "Invalid price.")),
        ({"price": "50000.001"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"price": "1000000.01"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": "0.000001"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "9000"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "0.00001"}, (-1013, "Filter failure: NOTIONAL")),
        ({"newClientOrderId": ""}, (-1118, "New client order ID was empty.")),
        ({"newClientOrderId": "a b"}, illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
        ({"newClientOrderId": "a" * 37}, illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
        ({"strategyType": "999999"}, (-1134, "strategyType was less than 1000000.")),
        ({"strategyId": "x"}, illegal("strategyId", "^[0-9]{1,20}$")),
        ({"stopPrice": "40000"}, not_required("stopPrice")),
        ({"trailingDelta": "100"}, not_required("trailingDelta")),
        ({"quoteOrderQty": "10"}, not_required("quoteOrderQty")),
        ({"pegPriceType": "BEST"}, (-1210, "Invalid pegPriceType.")),
        ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "TICKS"}, (-1211, "Invalid pegOffsetType.")),
        ({"pegOffsetValue": "1", "pegOffsetType": "PRICE_LEVEL"}, missing("pegPriceType")),
        ({"pegPriceType": "PRIMARY_PEG", "pegOffsetValue": "1"},
         (-1128, "Fields [pegOffsetType, pegOffsetValue] must be sent together or omitted entirely.")),
        ({"pegPriceType": "MARKET_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": "101"},
         (-1102, "'pegOffsetValue' contains unexpected value. Cannot be greater than 100.")),
        ({"icebergQty": "0.0001", "timeInForce": "IOC"}, (-1014, "Unsupported order combination.")),
    ],
)  # fmt: skip
def test_refusals_of_a_limit_order(values: dict[str, str], expected: tuple[int, str]) -> None:
    assert refused(LIMIT | values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"price": "50000"}, not_required("price")),
        ({"timeInForce": "GTC"}, not_required("timeInForce")),
        ({"stopPrice": "1"}, not_required("stopPrice")),
        ({"icebergQty": "1"}, not_required("icebergQty")),
        ({"quoteOrderQty": "10"}, not_required("quoteOrderQty")),
        ({"quantity": "90.00001"}, (-1013, "Filter failure: MARKET_LOT_SIZE")),
        ({"pegPriceType": "MARKET_PEG"}, (-2010, "This order type may not use pegged price.")),
    ],
)
def test_refusals_of_a_market_order(values: dict[str, str], expected: tuple[int, str]) -> None:
    assert refused(MARKET | values) == expected


def test_a_market_order_needs_one_of_two() -> None:
    text = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
    assert refused(without(MARKET, "quantity")) == (-1102, text)
    small = without(MARKET, "quantity") | {"quoteOrderQty": "4.99"}
    assert refused(small) == (-1013, "Filter failure: NOTIONAL")


def test_limit_maker() -> None:
    maker = without(LIMIT, "timeInForce") | {"type": "LIMIT_MAKER"}
    assert command(maker)["ord_type"] == OrdType.LIMIT_MAKER
    assert refused(maker | {"timeInForce": "GTC"}) == not_required("timeInForce")
    pegged = maker | {"pegPriceType": "MARKET_PEG"}
    assert refused(pegged) == (-2010, "This price peg cannot be used with this order type.")


STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stopPrice": "40000"}
STOP_LIMIT = STOP | {"type": "STOP_LOSS_LIMIT", "price": "39000", "timeInForce": "GTC"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (without(STOP, "stopPrice"),
         (-1102, "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!")),
        (STOP | {"price": "1"}, not_required("price")),
        (STOP | {"timeInForce": "GTC"}, not_required("timeInForce")),
        (without(STOP, "quantity"), missing("quantity")),
        (without(STOP_LIMIT, "price"), missing("price")),
        (without(STOP_LIMIT, "timeInForce"), missing("timeInForce")),
    ],
)  # fmt: skip
def test_what_a_stop_order_must_have(values: dict[str, str], expected: tuple[int, str]) -> None:
    assert refused(values) == expected


def test_contingent_iceberg_and_pegged_orders_become_commands() -> None:
    stop = command(STOP_LIMIT | {"trailingDelta": "100"})
    assert (stop["stop_price_ticks"], stop["trailing_bips"], stop["price_ticks"]) == (4_000_000, 100, 3_900_000)
    iceberg = command(LIMIT | {"icebergQty": "0.0001"})
    assert (iceberg["display_lots"], iceberg["qty_lots"]) == (10, 100)
    pegged = command(
        without(LIMIT, "price") | {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": "3"}
    )
    assert (pegged["peg_type"], pegged["peg_offset"], pegged["price_ticks"]) == (1, 3, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (LIMIT | {"icebergQty": "0.002"}, (-2010, "IcebergQty exceeds QTY.")),
        (LIMIT | {"icebergQty": "0.001"}, (-2010, "IcebergQty exceeds QTY.")),
        (LIMIT | {"quantity": "1", "icebergQty": "0.00001"}, (-1013, "Filter failure: ICEBERG_PARTS")),
        (STOP | {"trailingDelta": "9"}, (-1013, "Filter failure: TRAILING_DELTA")),
        (STOP | {"trailingDelta": "2001"}, (-1013, "Filter failure: TRAILING_DELTA")),
        (LIMIT | {"timeInForce": "IOC", "pegPriceType": "PRIMARY_PEG"}, (-1014, "Unsupported order combination.")),
    ],
)
def test_their_filters(values: dict[str, str], expected: tuple[int, str]) -> None:
    assert refused(values) == expected


def test_parameters_that_nobody_reads() -> None:
    with pytest.raises(BinanceError) as raised:
        read(LIMIT | {"colour": "blue"})
    text = "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."
    assert (raised.value.code, raised.value.msg) == (-1104, text)
    assert read(LIMIT | {"colour": "blue"}, strict=False).price == 50_000 * 10**8


def test_routes_without_parameters() -> None:
    class Nobody(Params):
        pass

    with pytest.raises(BinanceError) as raised:
        Reading(Nobody, DESK).read({"x": "1"}, 0, True)
    assert (raised.value.code, raised.value.msg) == (-1101, "Too many parameters; expected '0' and received '1'.")


OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.001",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "120000",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "80000",
}


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, None),
        ({"belowType": "MARKET"}, -1158),
        ({"belowType": "LIMIT_MAKER"}, -1168),
        ({"aboveType": "STOP_LOSS", "belowType": "LIMIT_MAKER"}, -1166),
        ({"aboveType": "STOP_LOSS", "belowType": "STOP_LOSS"}, -1197),
        ({"aboveType": "TAKE_PROFIT", "belowType": "TAKE_PROFIT"}, -1199),
        ({"side": "BUY"}, -1165),
        ({"side": "BUY", "aboveType": "STOP_LOSS"}, -1196),
        ({"side": "BUY", "aboveType": "TAKE_PROFIT", "belowType": "TAKE_PROFIT"}, -1198),
        ({"belowType": "STOP_LOSS_LIMIT", "belowIcebergQty": "0.0001", "belowTimeInForce": "IOC"}, -1160),
    ],
)
def test_pairs(values: dict[str, str], code: int | None) -> None:
    p = Reading(OcoParams, DESK).read(OCO | values, 0, True)
    above, below = leg(p, "above", p.side, p.quantity), leg(p, "below", p.side, p.quantity)
    assert below.name("stopPrice") == "belowStopPrice"
    if code is None:
        check_oco(above, below)
        return
    with pytest.raises(BinanceError) as raised:
        check_oco(above, below)
    assert raised.value.code == code


def test_every_field_of_an_order_reaches_the_record() -> None:
    """The packed command and the record have the same fields: none slipped into another's place."""
    made = command(LIMIT)
    touched = {name for name in made.dtype.names if made[name] != np.zeros((), made.dtype[name])}
    assert touched == {"account", "price_ticks", "qty_lots", "expected_leaves", "client_order_id"}
    assert set(OrdType) > new_order.LIMITED
