"""Orders of every kind by themselves: the venue's words for them when they are placed, canceled and asked for."""

from typing import Any

import msgspec
import pytest

from market.enums import CancelRestriction, CommandFlag, ExecType, OrdStatus, OrdType, PegType
from market.reasons import Reason
from market.records import Records
from serve.binance.errors import BinanceError
from serve.binance.exchange_info import SymbolInfo
from serve.errors import ApiError, Code
from tests.unit.list_world import FIRST_ID, NOW, World, canceled, packed_reports, refused, row_of

MS = 1_000_000
LIMIT = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "50000",
}  # fmt: skip
STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stopPrice": "40000"}
STOP_LIMIT = STOP | {"type": "STOP_LOSS_LIMIT", "price": "39000", "timeInForce": "GTC", "newOrderRespType": "RESULT"}


@pytest.fixture
async def world() -> World:
    return World()


def answering(world: World, **fields: Any) -> None:
    world.account.answer = lambda commands: [row_of(one, k, **fields) for k, one in enumerate(commands)]


async def placed(world: World, **values: str) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(await world.ask("order.place", **values))
    return told


async def asked(world: World, row: Any) -> dict[str, Any]:
    world.account.told["order"] = packed_reports([row])
    told: dict[str, Any] = msgspec.to_builtins(await world.ask("order.status", symbol="BTCUSDT", orderId="100"))
    return told


def only(told: dict[str, Any], *names: str) -> list[Any]:
    return [told.get(name) for name in names]


CONDITIONAL = {
    "stopPrice", "trailingDelta", "trailingTime", "icebergQty", "pegPriceType", "pegOffsetType", "pegOffsetValue",
    "peggedPrice", "preventedMatchId", "preventedQuantity", "expiryReason", "strategyId", "strategyType",
}  # fmt: skip


async def test_a_plain_order_has_no_conditional_fields(world: World) -> None:
    told = await placed(world, **LIMIT)
    assert CONDITIONAL.isdisjoint(told)
    assert only(told, "workingTime", "orderListId") == [NOW // MS, -1]
    found = await asked(world, row_of(world.account.sent[0][0], 0))
    assert CONDITIONAL & set(found) == {"stopPrice", "icebergQty"}, "those two are always told"
    assert only(found, "stopPrice", "icebergQty", "isWorking") == ["0.00000000", "0.00000000", True]


async def test_a_trailing_stop_order_from_waiting_to_the_book(world: World) -> None:
    answering(world, working_ns=0)
    told = await placed(world, **STOP_LIMIT, trailingDelta="100", strategyId="5")
    names = ("stopPrice", "price", "trailingDelta", "trailingTime", "workingTime", "strategyId")
    assert only(told, *names) == ["40000.00000000", "39000.00000000", 100, -1, -1, 5]
    waiting = row_of(world.account.sent[0][0], 0, working_ns=0)
    names = (*names[:5], "isWorking")
    assert only(await asked(world, waiting), *names) == ["40000.00000000", "39000.00000000", 100, -1, -1, False]
    tracking = waiting._replace(tracking_ns=NOW + MS)
    assert only(await asked(world, tracking), "trailingTime", "isWorking") == [NOW // MS + 1, False]
    triggered = tracking._replace(working_ns=NOW + 2 * MS)
    assert only(await asked(world, triggered), "workingTime", "isWorking") == [NOW // MS + 2, True]


async def test_stop_orders_are_acknowledged_unless_asked_otherwise(world: World) -> None:
    answering(world, working_ns=0)
    assert list(await placed(world, **STOP)) == ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]


async def test_an_iceberg_order(world: World) -> None:
    told = await placed(world, **LIMIT, icebergQty="0.0001")
    assert told["icebergQty"] == "0.00010000"
    found = await asked(world, row_of(world.account.sent[0][0], 0))
    assert only(found, "icebergQty", "origQty") == ["0.00010000", "0.00100000"]


async def test_pegged_orders(world: World) -> None:
    pegged = {name: text for name, text in LIMIT.items() if name != "price"} | {"pegPriceType": "PRIMARY_PEG"}
    answering(world, price_ticks=4_900_000)
    told = await placed(world, **pegged)
    names = ("price", "peggedPrice", "pegPriceType", "pegOffsetType", "pegOffsetValue")
    assert only(told, *names) == ["0.00000000", "49000.00000000", "PRIMARY_PEG", None, None]
    told = await placed(world, **pegged, price="50000", pegOffsetType="PRICE_LEVEL", pegOffsetValue="3")
    assert only(told, *names) == ["50000.00000000", "49000.00000000", "PRIMARY_PEG", "PRICE_LEVEL", 3]
    told = await placed(world, **pegged, pegOffsetType="PRICE_LEVEL", pegOffsetValue="0")
    assert only(told, *names)[3:] == [None, None], "none, here as wherever it is asked for"
    row = row_of(world.account.sent[1][0], 0, price_ticks=4_900_000)
    assert (row.peg_type, row.peg_offset) == (PegType.PRIMARY_PEG, 3)
    assert only(await asked(world, row), *names) == [
        "0.00000000", "49000.00000000", "PRIMARY_PEG", "PRICE_LEVEL", 3,
    ]  # fmt: skip
    assert "peggedPrice" not in await asked(world, row._replace(price_ticks=0, working_ns=0)), "not chosen yet"


MATCH = {"exec_type": int(ExecType.TRADE_PREVENTION), "trade_id": 4, "last_price_ticks": 5_000_000, "last": 0}
MAKER_ID = 77


def prevented(world: World, lots: int, *, ends: bool, **maker: int) -> None:
    """The next order meets one of the same account: `lots` taken off both, or `ends` by it."""

    def answer(commands: Records) -> list[Any]:
        new = row_of(commands[0], 0, last=int(not ends), prevented_lots=lots)
        match = new._replace(**MATCH, last_qty_lots=lots, orig_order_id=MAKER_ID)
        other = match._replace(order_id=MAKER_ID, orig_order_id=new.order_id, **maker)
        world.account.told["reports_of"] = packed_reports([other])
        end = new._replace(
            exec_type=int(ExecType.EXPIRED), ord_status=int(OrdStatus.EXPIRED_IN_MATCH), trade_id=4,
            reason=int(Reason.SELF_TRADE_PREVENTION), last=1,
        )  # fmt: skip
        return [new._replace(last=0), match, end] if ends else [new._replace(last=0), match._replace(last=1)]

    world.account.answer = answer


@pytest.mark.parametrize(
    ("mode", "lots", "ends", "taker", "maker"),
    [
        ("EXPIRE_TAKER", 0, True, "0.00100000", None),
        ("EXPIRE_BOTH", 0, True, "0.00100000", "0.00070000"),
        ("EXPIRE_MAKER", 0, False, None, "0.00070000"),
        ("DECREMENT", 30, False, "0.00030000", "0.00030000"),
        ("TRANSFER", 30, False, "0.00030000", "0.00030000"),
    ],
)
async def test_prevented_matches_are_told_with_the_order(
    world: World, mode: str, lots: int, ends: bool, taker: str | None, maker: str | None
) -> None:
    for resp_type in ("RESULT", "FULL"):
        prevented(world, lots, ends=ends, leaves_lots=70)
        told = await placed(world, **LIMIT, selfTradePreventionMode=mode, newOrderRespType=resp_type)
        quantities = {"takerPreventedQuantity": taker, "makerPreventedQuantity": maker}
        assert told["preventedMatches"] == [
            {"preventedMatchId": 4, "makerOrderId": MAKER_ID, "price": "50000.00000000"}
            | {name: text for name, text in quantities.items() if text is not None}
        ]
        assert told["selfTradePreventionMode"] == mode


async def test_what_self_trade_prevention_took(world: World) -> None:
    prevented(world, 0, ends=True)
    told = await placed(world, **LIMIT, selfTradePreventionMode="EXPIRE_TAKER")
    assert only(told, "status", "preventedMatchId", "preventedQuantity") == ["EXPIRED_IN_MATCH", 4, "0.00100000"]
    assert "expiryReason" not in told
    answering(world, prevented_lots=30)
    told = await placed(world, **LIMIT, selfTradePreventionMode="TRANSFER")
    assert only(told, "status", "preventedQuantity", "selfTradePreventionMode") == ["NEW", "0.00030000", "TRANSFER"]
    row = row_of(world.account.sent[1][0], 0, prevented_lots=30)
    world.account.told["reports_of"] = packed_reports([row, row._replace(**MATCH, last_qty_lots=30), row])
    assert only(await asked(world, row), "preventedMatchId", "preventedQuantity") == [4, "0.00030000"]


async def test_an_answer_does_not_depend_on_what_is_known_of_the_other_order(world: World) -> None:
    prevented(world, 0, ends=True)

    def away(*_: Any) -> bytes:
        raise ApiError(Code.UNAVAILABLE)

    answer = world.account.answer

    def lost(commands: Records) -> list[Any]:
        rows = answer(commands)
        world.account.told["reports_of"] = away
        return rows

    world.account.answer = lost
    told = await placed(world, **LIMIT, selfTradePreventionMode="EXPIRE_MAKER")
    assert told["preventedMatches"][0]["makerOrderId"] == MAKER_ID


async def test_what_a_pegged_order_and_one_by_amount_came_with(world: World) -> None:
    await placed(world, **LIMIT)
    pegged = row_of(world.account.sent[0][0], 0, peg_type=int(PegType.PRIMARY_PEG), given=4_900_000)
    assert only(await asked(world, pegged), "price", "peggedPrice") == ["49000.00000000", "50000.00000000"]
    market = pegged._replace(
        peg_type=0, ord_type=int(OrdType.MARKET), price_ticks=0, flags=int(CommandFlag.BY_QUOTE), given=5_000_000_000
    )
    assert only(await asked(world, market), "price", "origQuoteOrderQty") == ["0.00000000", "50.00000000"]
    world.account.answer = lambda commands: [
        row._replace(peg_type=int(PegType.PRIMARY_PEG), given=4_900_000, price_ticks=5_000_000)
        for row in canceled(commands[0], [FIRST_ID])
    ]
    gone = await world.ask("order.cancel", symbol="BTCUSDT", orderId="100")
    assert (gone.price, gone.peggedPrice) == ("49000.00000000", "50000.00000000")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.OCO_TRIGGER, "OCO_TRIGGER"),
        (Reason.PENDING_NEVER_PLACED, "OTO_PHASE_ONE_EXPIRED"),
        (Reason.NOTIONAL, "REJECTED"),
        (Reason.PEG_BUDGET, "REJECTED"),
    ],
)
async def test_why_an_order_expired(world: World, reason: Reason, expected: str) -> None:
    await placed(world, **LIMIT)
    row = row_of(world.account.sent[0][0], 0, ord_status=int(OrdStatus.EXPIRED), reason=int(reason), list_id=9)
    assert only(await asked(world, row), "expiryReason", "orderListId", "status") == [expected, 9, "EXPIRED"]


async def test_cancel_restrictions_are_the_books_to_look_at(world: World) -> None:
    world.account.answer = lambda commands: canceled(commands[0], [FIRST_ID])
    gone = await world.ask("order.cancel", symbol="BTCUSDT", orderId="100", cancelRestrictions="ONLY_NEW")
    assert gone.status == "CANCELED"
    assert world.account.questions == []
    await world.ask("order.cancel", symbol="BTCUSDT", origClientOrderId="mine")
    by_id, by_name = (commands[0] for commands in world.account.sent)
    assert (by_id["cancel_restriction"], by_id["flags"]) == (CancelRestriction.ONLY_NEW, 0)
    assert (by_name["order_id"], by_name["flags"]) == (0, CommandFlag.BY_CLIENT_ORDER_ID)
    world.account.answer = lambda commands: [
        refused(commands[0], 0, Reason.CANCEL_RESTRICTED)._replace(exec_type=int(ExecType.CANCEL_REJECTED))
    ]
    with pytest.raises(BinanceError) as raised:
        await world.ask("order.cancel", symbol="BTCUSDT", orderId="100", cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert (raised.value.code, raised.value.msg) == (-2011, "Order was not canceled due to cancel restrictions.")


async def test_a_cancels_name_is_not_told_of_a_later_order(world: World) -> None:
    """A client order id may be used again; what a cancel was called is of one order."""
    names = world.api.venue.cancel_names
    await placed(world, **LIMIT)
    open_one = row_of(world.account.sent[0][0], 0, client_order_id=b"mine")
    world.account.told["order"] = packed_reports([open_one])
    world.account.answer = lambda commands: canceled(commands[0], [FIRST_ID])
    gone = await world.ask("order.cancel", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="bye")
    assert (gone.orderId, gone.clientOrderId) == (FIRST_ID, "bye")
    assert world.account.sent[-1]["order_id"].tolist() == [FIRST_ID]
    later = canceled(world.account.sent[-1][0], [FIRST_ID + 1])[0]._replace(client_order_id=b"mine")
    assert names.of(later) == "rpc-0-1"
    world.account.told["order"] = b""
    with pytest.raises(BinanceError) as raised:
        await world.ask("order.cancel", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="again")
    assert (raised.value.code, raised.value.msg) == (-2011, "Unknown order sent.")


async def test_a_refused_cancel_names_nothing(world: World) -> None:
    world.account.answer = lambda commands: [
        refused(commands[0], 0, Reason.CANCEL_RESTRICTED)._replace(exec_type=int(ExecType.CANCEL_REJECTED))
    ]
    with pytest.raises(BinanceError):
        await world.ask("order.cancel", symbol="BTCUSDT", orderId="100", newClientOrderId="bye")
    row = canceled(world.account.sent[0][0], [FIRST_ID])[0]
    assert world.api.venue.cancel_names.of(row) == "rpc-0-1"


async def test_a_canceled_stop_order_tells_its_conditions(world: World) -> None:
    fields = {"stop_price_ticks": 4_000_000, "trailing_bips": 50, "display_lots": 10, "ord_type": 4}
    world.account.answer = lambda commands: [
        row._replace(**fields) for row in canceled(commands[0], [FIRST_ID], working_ns=0)
    ]
    gone = msgspec.to_builtins(await world.ask("order.cancel", symbol="BTCUSDT", orderId="100"))
    assert only(gone, "type", "stopPrice", "trailingDelta", "trailingTime", "icebergQty") == [
        "STOP_LOSS_LIMIT", "40000.00000000", 50, -1, "0.00010000",
    ]  # fmt: skip


async def test_cancel_replace_passes_the_restriction_on(world: World) -> None:
    def answer(commands: Records) -> list[Any]:
        if world.account.sent[1:]:
            return [row_of(commands[0], 0)]
        refusal = refused(commands[0], 0, Reason.CANCEL_RESTRICTED)
        return [refusal._replace(exec_type=int(ExecType.CANCEL_REJECTED))]

    world.account.answer = answer
    with pytest.raises(BinanceError) as raised:
        await world.ask(
            "order.cancelReplace", **LIMIT, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId="100",
            cancelRestrictions="ONLY_NEW",
        )  # fmt: skip
    assert (raised.value.code, raised.value.data.newOrderResult) == (-2021, "SUCCESS")
    assert raised.value.data.cancelResponse.msg == "Order was not canceled due to cancel restrictions."
    assert world.account.sent[0][0]["cancel_restriction"] == CancelRestriction.ONLY_NEW


async def test_the_symbol_says_what_may_be_done(world: World) -> None:
    (symbol,) = (await world.ask("exchangeInfo", symbol="BTCUSDT")).symbols
    assert isinstance(symbol, SymbolInfo)
    assert symbol.orderTypes == [
        "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
    ]  # fmt: skip
    flags = msgspec.to_builtins(symbol)
    allowed = {name for name, value in flags.items() if value is True}
    assert {
        "icebergAllowed", "ocoAllowed", "otoAllowed", "opoAllowed", "allowTrailingStop", "cancelReplaceAllowed",
        "amendAllowed", "pegInstructionsAllowed",
    } <= allowed  # fmt: skip
    assert flags["isMarginTradingAllowed"] is False
    assert "TRANSFER" in symbol.allowedSelfTradePreventionModes
    filters = {one["filterType"]: one for one in flags["filters"]}
    assert {
        "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS", "MAX_NUM_ICEBERG_ORDERS", "MAX_NUM_ORDER_LISTS",
        "MAX_NUM_ORDER_AMENDS", "TRAILING_DELTA", "ICEBERG_PARTS",
    } <= set(filters)  # fmt: skip
    mine = (await world.ask("myFilters", symbol="BTCUSDT")).symbolFilters
    assert {one.filterType for one in mine} == {name for name in filters if name.startswith("MAX_")}
