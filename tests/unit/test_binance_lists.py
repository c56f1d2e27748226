"""Order lists: what is sent to the account for each kind, and the venue's words for what comes back."""

import asyncio
from typing import Any, NamedTuple

import msgspec
import pytest

from market.enums import CommandKind, Contingency, ExecType, ListRole, ListStatus, OrdStatus, OrdType
from market.reasons import Reason
from market.records import Records
from serve.binance import queries
from serve.binance.errors import BinanceError
from tests.unit.list_world import FIRST_ID, NOW, World, canceled, packed_reports, refused, row_of
from tests.unit.test_user_events import report

OCO = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.001", "aboveType": "LIMIT_MAKER", "abovePrice": "120000",
    "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "80000", "belowPrice": "79000", "belowTimeInForce": "GTC",
}  # fmt: skip
OLD_OCO = {
    "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.001", "price": "80000", "stopPrice": "120000",
    "stopLimitPrice": "121000", "stopLimitTimeInForce": "GTC",
}  # fmt: skip
WORKING = {
    "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "80000",
    "workingTimeInForce": "GTC", "workingQuantity": "0.001", "pendingSide": "SELL",
}  # fmt: skip
PAIR = {
    "pendingAboveType": "TAKE_PROFIT", "pendingAboveStopPrice": "120000", "pendingBelowType": "STOP_LOSS",
    "pendingBelowTrailingDelta": "100",
}  # fmt: skip
OTO = WORKING | {"pendingType": "LIMIT_MAKER", "pendingPrice": "120000", "pendingQuantity": "0.0005"}
LIST_ID = FIRST_ID


@pytest.fixture
async def world() -> World:
    one = World()
    one.account.answer = accepted
    return one


def accepted(commands: Records) -> list[Any]:
    """All orders; what depends on a working order waits. A report of the list stands among them."""
    waits = commands[0]["list_role"] == ListRole.MEMBER
    rows = []
    for k, one in enumerate(commands):
        pending = waits and k > 0
        stops = one["stop_price_ticks"] or one["trailing_bips"]
        status = OrdStatus.PENDING_NEW if pending else OrdStatus.NEW
        since = 0 if pending or stops else NOW
        rows.append(row_of(one, k, list_id=LIST_ID, ord_status=int(status), working_ns=since))
    head = row_of(commands[0], 0, exec_type=int(ExecType.LIST), order_id=0, list_id=LIST_ID, last=0)
    return [head, *rows]


class Sent(NamedTuple):
    roles: list[ListRole]
    types: list[OrdType]
    lots: list[int]


def sent(world: World) -> Sent:
    (commands,) = world.account.sent
    assert set(commands["kind"].tolist()) == {CommandKind.NEW}
    assert set(commands["list_id"].tolist()) == {0}, "the account numbers lists"
    return Sent(
        [ListRole(one) for one in commands["list_role"].tolist()],
        [OrdType(one) for one in commands["ord_type"].tolist()], commands["qty_lots"].tolist(),
    )  # fmt: skip


FIRST, SECOND, MEMBER = ListRole.OCO_FIRST, ListRole.OCO_SECOND, ListRole.MEMBER


@pytest.mark.parametrize(
    ("method", "values", "expected"),
    [
        ("oco", OCO, Sent([FIRST, SECOND], [OrdType.STOP_LOSS_LIMIT, OrdType.LIMIT_MAKER], [100, 100])),
        ("oto", OTO, Sent([MEMBER, MEMBER], [OrdType.LIMIT, OrdType.LIMIT_MAKER], [100, 50])),
        ("oto", WORKING | {"pendingType": "MARKET", "pendingQuantity": "0.001"},
         Sent([MEMBER, MEMBER], [OrdType.LIMIT, OrdType.MARKET], [100, 100])),
        ("otoco", WORKING | PAIR | {"pendingQuantity": "0.0005"},
         Sent([MEMBER, FIRST, SECOND], [OrdType.LIMIT, OrdType.STOP_LOSS, OrdType.TAKE_PROFIT], [100, 50, 50])),
        ("opo", WORKING | {"pendingType": "LIMIT_MAKER", "pendingPrice": "120000"},
         Sent([MEMBER, MEMBER], [OrdType.LIMIT, OrdType.LIMIT_MAKER], [100, 0])),
        ("opo", WORKING | {"pendingType": "MARKET"}, Sent([MEMBER, MEMBER], [OrdType.LIMIT, OrdType.MARKET], [100, 0])),
        ("opoco", WORKING | PAIR,
         Sent([MEMBER, FIRST, SECOND], [OrdType.LIMIT, OrdType.STOP_LOSS, OrdType.TAKE_PROFIT], [100, 0, 0])),
    ],
)  # fmt: skip
async def test_what_is_sent(world: World, method: str, values: dict[str, str], expected: Sent) -> None:
    made = await world.ask(f"orderList.place.{method}", **values, listClientOrderId="my-list")
    assert sent(world) == expected
    assert world.account.list_names == [b"my-list"]
    assert made.contingencyType == ("OCO" if method == "oco" else "OTO")
    n = len(expected.roles)
    assert world.context.order_counts == [n, n], "unfilled orders"
    assert [one.status for one in made.orderReports] == (["NEW"] if method == "oco" else ["NEW", "PENDING_NEW"]) + [
        "NEW" if method == "oco" else "PENDING_NEW"
    ] * (n - (1 if method == "oco" else 2))


async def test_the_old_oco(world: World) -> None:
    await world.ask("orderList.place", **OLD_OCO)
    assert sent(world).types == [OrdType.STOP_LOSS_LIMIT, OrdType.LIMIT_MAKER]
    with pytest.raises(BinanceError) as raised:
        await world.ask("orderList.place", **{k: v for k, v in OLD_OCO.items() if k != "stopLimitTimeInForce"})
    assert "'stopLimitTimeInForce'" in raised.value.msg


async def test_an_answer(world: World) -> None:
    names = {"aboveClientOrderId": "up", "belowClientOrderId": "down", "belowIcebergQty": "0.0001"}
    made = msgspec.to_builtins(
        await world.ask("orderList.place.oco", **OCO, **names, aboveStrategyId="7", listClientOrderId="both")
    )
    orders = [
        {"symbol": "BTCUSDT", "orderId": FIRST_ID + k, "clientOrderId": one} for k, one in enumerate(("down", "up"))
    ]
    below, above = made.pop("orderReports")
    assert made == {
        "orderListId": LIST_ID, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING", "listClientOrderId": "both", "transactionTime": NOW // 1_000_000,
        "symbol": "BTCUSDT", "orders": orders,
    }  # fmt: skip
    assert below == {
        "symbol": "BTCUSDT", "orderId": FIRST_ID, "orderListId": LIST_ID, "clientOrderId": "down",
        "transactTime": NOW // 1_000_000, "price": "79000.00000000", "origQty": "0.00100000",
        "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "0.00000000",
        "status": "NEW", "timeInForce": "GTC", "type": "STOP_LOSS_LIMIT", "side": "SELL",
        "stopPrice": "80000.00000000", "workingTime": -1, "icebergQty": "0.00010000", "selfTradePreventionMode": "NONE",
    }  # fmt: skip
    assert (above["type"], above["workingTime"], above["strategyId"]) == ("LIMIT_MAKER", NOW // 1_000_000, 7)
    assert "stopPrice" not in above


async def test_short_and_long_answers(world: World) -> None:
    (one, _) = (await world.ask("orderList.place.oto", **OTO, newOrderRespType="ACK")).orderReports
    assert list(msgspec.to_builtins(one)) == ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]
    assert one.orderListId == LIST_ID
    (one, _) = (await world.ask("orderList.place.oto", **OTO, newOrderRespType="FULL")).orderReports
    assert one.fills == []


async def test_a_working_order_that_is_filled_at_once(world: World) -> None:
    """The pending one is told as it was before; what traded is no unfilled order."""

    def filled(commands: Records) -> list[Any]:
        first, second = (row_of(one, k, list_id=LIST_ID) for k, one in enumerate(commands))
        return [
            first._replace(last=0),
            first._replace(exec_type=int(ExecType.TRADE), ord_status=int(OrdStatus.FILLED), cum_qty_lots=100),
            second._replace(ord_status=int(OrdStatus.PENDING_NEW), working_ns=0),
        ]

    world.account.answer = filled
    made = await world.ask("orderList.place.oto", **OTO)
    assert [one.status for one in made.orderReports] == ["FILLED", "PENDING_NEW"]
    assert made.listOrderStatus == "EXECUTING"
    assert world.context.order_counts == [1, 1]


async def test_a_working_order_that_expires_at_once(world: World) -> None:
    def expired(commands: Records) -> list[Any]:
        reasons = (Reason.FOK_UNFILLED, Reason.PENDING_NEVER_PLACED)
        return [
            row_of(
                one,
                k,
                list_id=LIST_ID,
                exec_type=int(ExecType.EXPIRED),
                ord_status=int(OrdStatus.EXPIRED),
                reason=int(why),
            )
            for k, (one, why) in enumerate(zip(commands, reasons, strict=True))
        ]

    world.account.answer = expired
    made = await world.ask("orderList.place.oto", **(OTO | {"workingTimeInForce": "FOK"}))
    assert (made.listStatusType, made.listOrderStatus) == ("ALL_DONE", "ALL_DONE")
    assert [one.expiryReason for one in made.orderReports] == ["UNFILLED_FOK_ORDER_EXPIRED", "OTO_PHASE_ONE_EXPIRED"]


@pytest.mark.parametrize(
    ("reasons", "code", "text"),
    [
        ((Reason.OCO_PRICES, Reason.OCO_PRICES), -2010, "The relationship of the prices for the orders is not correct."),
        ((Reason.OCO_PAIR_REFUSED, Reason.WOULD_TAKE), -2010, "The relationship of the prices for the orders is not correct."),
        ((Reason.STOP_WOULD_TRIGGER, Reason.OCO_PAIR_REFUSED), -2010, "The relationship of the prices for the orders is not correct."),
        ((Reason.PENDING_NEVER_PLACED, Reason.PERCENT_PRICE_BY_SIDE), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ((Reason.DUPLICATE_LIST_CLIENT_ORDER_ID,) * 2, -2010, "Duplicate order sent."),
        ((Reason.MAX_NUM_ORDER_LISTS,) * 2, -1013, "Filter failure: MAX_NUM_ORDER_LISTS"),
        ((Reason.INSUFFICIENT_BALANCE,) * 2, -2010, "Account has insufficient balance for requested action."),
    ],
)  # fmt: skip
async def test_the_most_telling_reason_is_told(world: World, reasons: Any, code: int, text: str) -> None:
    world.account.answer = lambda commands: [
        refused(one, k, why) for k, (one, why) in enumerate(zip(commands, reasons, strict=True))
    ]
    with pytest.raises(BinanceError) as raised:
        await world.ask("orderList.place.oco", **OCO)
    assert (raised.value.code, raised.value.msg) == (code, text)
    assert world.context.order_counts is None


MISSING = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."


@pytest.mark.parametrize(
    ("method", "values", "code", "text"),
    [
        ("oco", OCO | {"belowPrice": ""}, -1105, "Parameter 'belowPrice' was empty."),
        ("oco", OCO | {"aboveTimeInForce": "GTC"}, -1106, "Parameter 'aboveTimeInForce' sent when not required."),
        ("oco", OCO | {"belowType": "STOP_LOSS"}, -1106, "Parameter 'belowTimeInForce' sent when not required."),
        ("oco", OCO | {"abovePegPriceType": "MARKET_PEG"}, -2010, "This price peg cannot be used with this order type."),
        ("oco", OCO | {"belowTrailingDelta": "5"}, -1013, "Filter failure: TRAILING_DELTA"),
        ("oco", OCO | {"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ("oco", OCO | {"belowIcebergQty": "0.002"}, -2010, "IcebergQty exceeds QTY."),
        ("oto", OTO | {"workingType": "STOP_LOSS"}, -2010, "Unsupported order combination"),
        ("oto", OTO | {"pendingType": "STOP_LOSS_LIMIT"}, -1102, MISSING.format("pendingTimeInForce")),
        ("oto", OTO | {"pendingQuantity": "0"}, -1013, "Invalid quantity."),
        ("otoco", WORKING | PAIR | {"pendingQuantity": "0.001", "pendingAboveType": "STOP_LOSS"}, -1197,
         "A stop loss order in a sell OCO must be below."),
        ("opo", WORKING | {"pendingType": "LIMIT_MAKER"}, -1102, MISSING.format("pendingPrice")),
        ("opo", WORKING | {"pendingType": "LIMIT_MAKER", "pendingPrice": "120000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ("opo", WORKING | {"pendingType": "MARKET", "workingSide": "SELL"}, -1222,
         "Working order in an OPO list must be a bid."),
        ("opoco", WORKING | PAIR | {"pendingSide": "BUY"}, -1223, "Pending orders in an OPO list must be asks."),
        ("opo", WORKING | {"pendingType": "MARKET", "pendingQuantity": "1"}, -1104,
         "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ],
)  # fmt: skip
async def test_refused_before_anything_is_sent(
    world: World, method: str, values: dict[str, str], code: int, text: str
) -> None:
    with pytest.raises(BinanceError) as raised:
        await world.ask(f"orderList.place.{method}", **values)
    assert (raised.value.code, raised.value.msg) == (code, text)
    assert world.account.sent == []


async def test_too_many_orders(world: World) -> None:
    limit = world.api.venue.limits.orders[0].limit
    world.api.venue.limits.count_orders(world.context.account, limit - 1, NOW / 1e9)
    for _ in range(limit // 2):
        await world.ask("orderList.place.oco", **OCO)
    with pytest.raises(BinanceError) as raised:
        await world.ask("orderList.place.otoco", **WORKING, **PAIR, pendingQuantity="0.0005")
    assert raised.value.code == -1015


# -- canceling, asking ------------------------------------------------------------------------------------------------


def listed(**fields: Any) -> dict[str, Any]:
    whole = {
        "list_id": LIST_ID, "contingency": int(Contingency.OCO), "name": b"both".ljust(40, b"\0"),
        "status": int(ListStatus.EXECUTING), "symbol": 0, "created_ns": NOW, "updated_ns": NOW,
        "orders": [(FIRST_ID, b"order-100", True), (FIRST_ID + 1, b"order-101", True)],
    }  # fmt: skip
    return whole | fields


async def test_canceling_a_list(world: World) -> None:
    world.account.told["list"] = listed()
    world.account.answer = lambda commands: canceled(commands[0], [FIRST_ID, FIRST_ID + 1], list_id=LIST_ID)
    ended = await world.ask("orderList.cancel", symbol="BTCUSDT", listClientOrderId="both", newClientOrderId="bye")
    assert world.account.questions == [("list", world.context.account, 0, b"both")]
    (commands,) = world.account.sent
    assert commands["order_id"].tolist() == [FIRST_ID + 1], "one of its orders ends all"
    assert (ended.listStatusType, ended.listOrderStatus, ended.orderListId) == ("ALL_DONE", "ALL_DONE", LIST_ID)
    told = [(one.orderId, one.origClientOrderId, one.clientOrderId, one.status) for one in ended.orderReports]
    assert told == [(100, "order-100", "bye", "CANCELED"), (101, "order-101", "bye", "CANCELED")]
    rows = canceled(commands[0], [FIRST_ID, FIRST_ID + 1])
    assert [world.api.venue.cancel_names.of(row) for row in rows] == ["bye", "bye"], "events say the same"


def pending(command: Any) -> list[Any]:
    return [refused(command, 0, Reason.ORDER_PENDING)._replace(exec_type=int(ExecType.CANCEL_REJECTED))]


async def test_a_list_is_canceled_when_the_book_has_its_pending_orders(world: World) -> None:
    """Between the fill of the working order and then the account does not know how to."""
    world.account.told |= {"list": listed(), "subscribe": {"missed": b"", "seq": 0}}
    gateway = world.api.venue.gateway

    def answer(commands: Records) -> list[Any]:
        if len(world.account.sent) < 3:
            asyncio.get_running_loop().call_soon(
                lambda: [tell(report_of(FIRST_ID, LIST_ID)) for tell in gateway._listeners[world.context.account]]
            )
            return pending(commands[0])
        return canceled(commands[0], [FIRST_ID, FIRST_ID + 1], list_id=LIST_ID)

    world.account.answer = answer
    ended = await world.ask("orderList.cancel", symbol="BTCUSDT", orderListId="100")
    assert [one.status for one in ended.orderReports] == ["CANCELED", "CANCELED"]
    assert len(world.account.sent) == 3
    await asyncio.gather(*gateway._tasks)
    assert world.context.account not in gateway._listeners, "nobody listens any more"


async def test_a_list_whose_pending_orders_the_book_never_gets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.binance.lists.PENDING_WAIT_S", 0.05)
    world.account.told |= {"list": listed(), "subscribe": {"missed": b"", "seq": 0}}
    world.account.answer = lambda commands: pending(commands[0])
    with pytest.raises(BinanceError) as raised:
        await world.ask("orderList.cancel", symbol="BTCUSDT", orderListId="100", newClientOrderId="bye")
    assert (raised.value.code, raised.value.msg) == (-2011, "Unknown order sent.")
    row = report_of(FIRST_ID, LIST_ID)._replace(exec_type=int(ExecType.CANCELED), exec_id=4)
    assert world.api.venue.cancel_names.of(row) == "rpc-0-4", "a refused cancel names nothing"


@pytest.mark.parametrize(
    ("found", "values"),
    [
        (None, {"orderListId": "1"}),
        (listed(symbol=1), {"orderListId": "100"}),
        (listed(orders=[(FIRST_ID, b"order-100", False)]), {"orderListId": "100"}),
        (listed(), {"orderListId": "100", "listClientOrderId": "other"}),
    ],
)
async def test_lists_that_cannot_be_canceled(world: World, found: Any, values: dict[str, str]) -> None:
    world.account.told["list"] = found
    with pytest.raises(BinanceError) as raised:
        await world.ask("orderList.cancel", symbol="BTCUSDT", **values)
    assert (raised.value.code, raised.value.msg) == (-2011, "Unknown order sent.")
    assert world.account.sent == []


async def test_canceling_one_order_of_a_list(world: World) -> None:
    """The answer tells of the order that was named, whatever else it ended."""
    for values, order_id in (({"orderId": "100"}, 100), ({"origClientOrderId": "order-101"}, 101)):
        for order in ([100, 101], [101, 100]):
            world.account.answer = lambda commands, order=order: canceled(commands[0], order, list_id=LIST_ID)  # type: ignore[misc]
            gone = await world.ask("order.cancel", symbol="BTCUSDT", **values)
            assert (gone.orderId, gone.orderListId, gone.status) == (order_id, LIST_ID, "CANCELED")


async def test_canceling_everything(world: World) -> None:
    def answer(commands: Records) -> list[Any]:
        commands["kind"] = CommandKind.CANCEL
        single = canceled(commands[0], [7])
        return single + canceled(commands[0], [FIRST_ID, FIRST_ID + 1], list_id=LIST_ID)

    world.account.answer = answer
    world.account.told["list"] = listed(status=int(ListStatus.ALL_DONE))
    single, both = await world.ask("openOrders.cancelAll", symbol="BTCUSDT")
    assert (single.orderId, single.orderListId) == (7, -1)
    assert (both.orderListId, both.listOrderStatus) == (LIST_ID, "ALL_DONE")
    assert [one.orderId for one in both.orderReports] == [100, 101]


class Stored(NamedTuple):
    list_id: int
    symbol: str = "BTCUSDT"
    contingency: int = 1
    list_client_order_id: str = "old"
    list_status: int = 1
    created_ns: int = NOW
    updated_ns: int = NOW
    orders: tuple[tuple[int, str], ...] = ((7, "a"), (8, "b"))


async def test_asking_for_a_list(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def stored_list(pool: Any, account: int, named: int | str) -> Stored | None:
        asked.append(named)
        return Stored(7) if named in (7, "old") else None

    monkeypatch.setattr(queries, "stored_list", stored_list, raising=False)
    world.api.venue.gateway.pool = None
    world.account.told["list"] = lambda account, list_id, name: (
        listed() if list_id == LIST_ID or name == b"both" else None
    )
    for values in ({"orderListId": "100"}, {"origClientOrderId": "both"}):
        found = await world.ask("orderList.status", **values)
        assert (found.orderListId, found.listClientOrderId, found.listStatusType) == (LIST_ID, "both", "EXEC_STARTED")
        assert "orderReports" not in msgspec.to_builtins(found)
    for values in ({"orderListId": "7"}, {"origClientOrderId": "old"}):
        found = await world.ask("orderList.status", **values)
        assert (found.orderListId, found.contingencyType, found.listOrderStatus) == (7, "OTO", "ALL_DONE")
    assert asked == [7, "old"]
    for values in ({"orderListId": "1"}, {"orderListId": "100", "origClientOrderId": "other"}):
        with pytest.raises(BinanceError) as raised:
            await world.ask("orderList.status", **values)
        assert (raised.value.code, raised.value.msg) == (-2013, "Order list does not exist.")


async def test_all_lists_and_open_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the read models do not know yet, or not as it is, comes from the account."""

    async def stored_lists(pool: Any, account: int, *asked: Any) -> list[Stored]:
        return [Stored(7), Stored(FIRST_ID, list_client_order_id="both", list_status=0)]

    monkeypatch.setattr(queries, "stored_lists", stored_lists, raising=False)
    world.api.venue.gateway.pool = None
    newest = {LIST_ID: listed(status=1), 200: listed(list_id=200, name=b"new")}
    world.account.told["list"] = lambda account, list_id, name: newest.get(list_id)
    world.account.told["open_lists"] = [newest[200], listed(list_id=150)]
    recent = [report_of(7_000, 0), report_of(FIRST_ID, LIST_ID), report_of(FIRST_ID + 1, LIST_ID), report_of(200, 200)]
    world.account.told["recent_orders"] = packed_reports(recent)
    lists = await world.ask("allOrderLists")
    assert [(one.orderListId, one.listOrderStatus) for one in lists] == [
        (7, "ALL_DONE"), (100, "ALL_DONE"), (200, "EXECUTING"),
    ]  # fmt: skip
    assert [one.orderListId for one in await world.ask("allOrderLists", limit="2")] == [100, 200], "the newest"
    assert [one.orderListId for one in await world.ask("allOrderLists", limit="2", fromId="1")] == [7, 100]
    assert [one.orderListId for one in await world.ask("openOrderLists.status")] == [150, 200]


def report_of(order_id: int, list_id: int) -> Any:
    return report(ExecType.NEW, OrdStatus.NEW, order_id=order_id, list_id=list_id)


async def test_amending_an_order_of_a_list(world: World) -> None:
    """An OCO's orders are amended together; the answer tells the one named, and how the list stands."""
    target = report_of(FIRST_ID, LIST_ID)
    world.account.told |= {"order": packed_reports([target]), "list": listed()}
    world.account.answer = lambda commands: [
        row_of(
            commands[0],
            0,
            order_id=one,
            list_id=LIST_ID,
            exec_type=int(ExecType.REPLACED),
            prevented_lots=3,
            symbol=0,
            last=last,
        )
        for one, last in ((FIRST_ID, 0), (FIRST_ID + 1, 1))
    ]
    done = await world.ask(
        "order.amend.keepPriority", symbol="BTCUSDT", orderId="100", newQty="0.0005", newClientOrderId="less"
    )
    (commands,) = world.account.sent
    assert (commands[0]["client_order_id"], commands[0]["qty_lots"]) == (b"less", 50)
    order = done.amendedOrder
    assert (order.orderId, order.origClientOrderId, order.clientOrderId) == (FIRST_ID, "mine", "less")
    assert (order.qty, order.preventedQty, order.orderListId) == ("0.00050000", "0.00003000", LIST_ID)
    assert (done.listStatus.orderListId, done.listStatus.listOrderStatus) == (LIST_ID, "EXECUTING")


async def test_a_pending_order_without_a_quantity_is_not_amended(world: World) -> None:
    target = report_of(FIRST_ID, LIST_ID)._replace(ord_status=int(OrdStatus.PENDING_NEW), qty_lots=0)
    world.account.told["order"] = packed_reports([target])
    with pytest.raises(BinanceError) as raised:
        await world.ask("order.amend.keepPriority", symbol="BTCUSDT", orderId="100", newQty="0.0005")
    assert (raised.value.code, raised.value.msg) == (-2038, "Order amend (pending OPO order) is not supported.")
