"""The WebSocket API. Case ids are those of `serve/PROTOCOL.md`; a test checks that none goes without a test."""

import asyncio
import itertools
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import numpy as np
import pytest

import serve
from market.profile import TradingProfile
from serve.auth.principal import Principal, Role
from serve.packed import ANSWER, CANCEL, FIELDS, FILL, HEAD, MAGIC, PLACE, REASON_VALIDATION, RESULT, VERSION, Op
from serve.sockets import outbox as outboxes
from serve.sockets import session as sessions
from serve.sockets.asgi import AsgiSocket
from serve.sockets.orders import IN_FLIGHT_LIMIT, OrdersSession
from serve.sockets.outbox import Outbox
from serve.sockets.transport import Handshake
from tests.system.client import Client, Closed, Json, Socket, eventually
from tests.system.conftest import Exchange, User

pytestmark = pytest.mark.system

BTC: Final = "BTCUSDT"
REST: Final = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "price": "50000", "quantity": "0.0002"}
"""Far below the market: it rests."""
TAKE: Final = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.001"}
FORMATS: Final = pytest.mark.parametrize("binary", [False, True], ids=["json-ingress", "messagepack-data-port"])
"""Both ways in besides, see `Client.socket`."""
DOORS: Final = pytest.mark.parametrize("data_port", [False, True], ids=["ingress", "data-port"])


def orders_of(answer: Json) -> list[Json]:
    assert answer["ok"] is True, answer
    assert all(one["error"] is None for one in answer["results"]), answer
    return [one["order"] for one in answer["results"]]


def codes_of(answer: Json) -> list[str | None]:
    assert answer["ok"] is True, answer
    return [one["error"] and one["error"]["code"] for one in answer["results"]]


async def closing(socket: Socket) -> tuple[int | None, str]:
    """Code and reason of the close that comes next."""
    with pytest.raises(Closed) as ended:
        await socket.receive()
    return ended.value.code, ended.value.reason


def test_every_case_of_the_protocol_is_quoted_by_a_test() -> None:
    text = (Path(serve.__file__).parent / "PROTOCOL.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    case = re.compile(r"\b(?:WS|HT)-[A-Z]\d\d\b")
    assert set(case.findall(text)) == set(case.findall(tests))


# -- authenticating -------------------------------------------------------------------------------------------------


@DOORS
@pytest.mark.parametrize("path", ["/ws/orders", "/ws/portfolio"])
async def test_the_token_may_come_in_three_ways(exchange: Exchange, alice: User, path: str, data_port: bool) -> None:
    """WS-A01, WS-A02, WS-A03, WS-O01."""
    account = 0
    async with exchange.client(alice) as client:
        account = (await client.portfolio())["account"]
        async with client.socket(path, data_port=data_port) as socket:
            first = await socket.receive()
    async with exchange.client() as nobody:
        async with nobody.socket(path, data_port=data_port, token=alice.access_token) as socket:
            assert _same_kind(await socket.receive(), first)
        for binary in (False, True):
            async with nobody.socket(path, binary=binary, data_port=data_port) as socket:
                await socket.send({"op": "auth", "token": alice.access_token})
                assert _same_kind(await socket.receive(), first)
                assert (await socket.ask("ping"))["op"] == "pong"
    if path == "/ws/orders":
        assert first == {"op": "welcome", "account": account}
    else:
        assert first["portfolio"]["account"] == account


def _same_kind(one: Json, other: Json) -> bool:
    return set(one) == set(other) and one.get("op") == other.get("op")


@DOORS
@pytest.mark.parametrize("path", ["/ws/orders", "/ws/portfolio", "/ws/prices"])
async def test_a_bad_token_is_told_and_the_socket_closed(exchange: Exchange, path: str, data_port: bool) -> None:
    """WS-A04, WS-A06."""
    async with exchange.client() as nobody, nobody.socket(path, data_port=data_port, token="not-a-token") as socket:
        told = await socket.receive()
        assert (told["ok"], told["error"]["code"]) == (False, "UNAUTHENTICATED")
        assert await closing(socket) == (1008, "authenticate with a valid access token")


@pytest.mark.parametrize("frame", ['{"op":"ping"}', "no json", "[" * 5000, b"\xc1", '{"op":"auth","token":5}'])
async def test_a_first_frame_that_is_no_token_closes_the_socket(exchange: Exchange, frame: str | bytes) -> None:
    """WS-A04."""
    async with exchange.client() as nobody:
        for data_port in (False, True):
            async with nobody.socket("/ws/orders", data_port=data_port) as socket:
                await socket.send_raw(frame)
                assert await closing(socket) == (1008, "authenticate with a valid access token")


async def test_a_socket_ends_with_its_session(exchange: Exchange, new_user: User) -> None:
    """WS-A07."""
    async with (
        exchange.client(new_user) as client,
        client.trading_socket() as orders,
        client.trading_socket(data_port=True) as straight,
        client.socket("/ws/portfolio") as portfolio,
    ):
        await portfolio.event()
        assert (await client.call("POST", "/api/auth/logout")).status == 204
        for socket in (orders, straight, portfolio):
            with pytest.raises(Closed) as ended:
                await socket.event(lambda _: False)
            assert (ended.value.code, ended.value.reason) == (1008, "the session was ended; log in again")


async def test_prices_need_no_token(anyone: Client) -> None:
    """WS-A06."""
    async with anyone.socket("/ws/prices") as socket:
        assert await socket.ask("ping") == {"id": "ping-1", "ok": True, "op": "pong"}


@DOORS
async def test_other_addresses_have_no_socket(anyone: Client, data_port: bool) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with anyone.socket("/sockets", data_port=data_port):
            pass


async def test_the_data_port_is_told(exchange: Exchange, anyone: Client) -> None:
    """WS-P01, WS-P02."""
    port = (await anyone.get("/api/v1/system/status"))["data_port"]
    assert exchange.data_url.endswith(f":{port}")
    async with anyone.socket("/ws/btcusdt@bookTicker", data_port=True) as socket:
        assert (await socket.receive())["s"] == BTC
    async with anyone.socket("/ws-api/v3", data_port=True) as socket:
        await socket.send({"id": 1, "method": "ping"})
        assert (await socket.receive())["status"] == 200


# -- frames ---------------------------------------------------------------------------------------------------------


@FORMATS
async def test_answers_carry_the_frame_s_id(trader: Client, binary: bool) -> None:
    """WS-F01, WS-F08, WS-F09."""
    async with trader.trading_socket(binary=binary) as socket:
        name: Any
        for name in (0, -5, (1 << 63) - 1, "x", "", "n" * 64, None):
            await socket.send({"op": "ping", "id": name})
            assert await socket.answer() == {"id": name, "ok": True, "op": "pong"}
        assert await socket.ask("echo", orders=[REST] * 3) == {"id": "echo-1", "ok": True, "orders": 3}
        await socket.send({"op": "ping"})
        assert await socket.answer() == {"id": None, "ok": True, "op": "pong"}
        for name in (1.5, True, "n" * 65, [1], 1 << 63):
            await socket.send({"op": "ping", "id": name})
            told = await socket.answer()
            assert (told["id"], told["error"]["code"], told["error"]["field"]) == (None, "VALIDATION", "id")


async def test_the_format_follows_the_newest_frame(trader: Client) -> None:
    """WS-F04."""
    async with trader.socket("/ws/orders") as socket:
        await socket.receive()
        for frame in (b"\x81\xa2op\xa4ping", '{"op":"ping"}', b"\x81"):
            await socket.send_raw(frame)
            message = await socket.receive_message()
            assert isinstance(message.data, type(frame))
            decode: Any = msgspec.json.decode if isinstance(frame, str) else msgspec.msgpack.decode
            assert decode(message.data)["id"] is None


async def test_frames_are_taken_in_the_order_they_come(trader: Client) -> None:
    """WS-F05, WS-O12."""
    async with trader.trading_socket() as socket:
        for k in range(20):
            await socket.send({"op": "place", "id": f"p{k}", "orders": [{**REST, "client_order_id": f"c{k}"}]})
            await socket.send({"op": "cancel", "id": f"c{k}", "orders": [{"client_order_id": f"c{k}"}]})
        answers = {}
        for _ in range(40):
            answer = await socket.answer()
            answers[answer["id"]] = orders_of(answer)[0]["status"]
        assert answers == {f"p{k}": "NEW" for k in range(20)} | {f"c{k}": "CANCELED" for k in range(20)}
    assert (await trader.get("/api/trading/orders", open="true"))["orders"] == []


@DOORS
async def test_a_frame_that_is_too_large_closes_the_socket(trader: Client, data_port: bool) -> None:
    """WS-F07."""
    async with trader.trading_socket(data_port=data_port) as socket:
        await socket.send_raw('{"op":"ping"}' + " " * ((1 << 20) - 13))
        assert (await socket.answer())["op"] == "pong"
        await socket.send_raw('{"op":"ping"}' + " " * ((1 << 20) - 12))
        code, _ = await closing(socket)
        assert code in (1009, 1006), "the reset of the connection may be faster than the close frame"


# -- order entry ----------------------------------------------------------------------------------------------------


@FORMATS
async def test_place_one_and_many(trader: Client, binary: bool) -> None:
    """WS-O02, WS-O03, WS-O04, WS-O05."""
    async with trader.trading_socket(binary=binary) as socket:
        (filled,) = orders_of(await socket.ask("place", orders=[TAKE]))
        assert (filled["status"], filled["executed_quantity"]) == ("FILLED", "0.00100")
        assert sum(Decimal(fill["quantity"]) for fill in filled["fills"]) == Decimal("0.001")

        mixed = [
            {**REST, "client_order_id": "a"},
            {**REST, "price": "50000.001"},
            {**REST, "client_order_id": "a"},
            {**REST, "symbol": "NOPE"},
            {**REST, "side": "SELL", "quantity": "1", "price": "200000"},
            {**REST, "client_order_id": "b"},
        ]
        answer = await socket.ask("place", orders=mixed)
        assert codes_of(answer) == [
            None, "PRICE_FILTER", "DUPLICATE_CLIENT_ORDER_ID", "UNKNOWN_SYMBOL", "INSUFFICIENT_BALANCE", None,
        ]  # fmt: skip
        assert [one["order"] and one["order"]["client_order_id"] for one in answer["results"]][::5] == ["a", "b"]

        before = await trader.standing()
        await socket.send({"op": "place", "id": 1, "orders": [REST, {**REST, "side": "UP"}]})
        refused = await socket.answer()
        assert (refused["id"], refused["ok"], refused["error"]["field"]) == (1, False, "orders[1].side")
        assert await trader.standing() == before


async def test_a_thousand_orders_in_a_frame(trader: Client) -> None:
    """WS-O03: of one symbol no more than its `max_num_orders` may rest or be on their way to it; IOC orders never rest."""
    listed = (await trader.get("/api/market/symbols"))["symbols"]
    limits = {one["symbol"]: one["max_num_orders"] for one in listed}
    assert limits[BTC] == 200
    async with trader.trading_socket() as socket:
        answer = await socket.ask("place", orders=[{**REST, "time_in_force": "IOC"}] * 1000)
        assert codes_of(answer) == [None] * 1000
        answer = await socket.ask("place", orders=[REST] * 300)
        assert codes_of(answer) == [None] * 200 + ["MAX_NUM_ORDERS"] * 100
        await trader.cancel_all()
        told = await socket.ask("place", orders=[REST] * 1001)
        assert (told["error"]["code"], told["error"]["field"]) == ("VALIDATION", "orders")


@FORMATS
async def test_cancel_amend_replace_cancel_all(trader: Client, binary: bool) -> None:
    """WS-O06, WS-O07, WS-O08, WS-O09."""
    async with trader.trading_socket(binary=binary) as socket:
        orders = [{**REST, "client_order_id": f"{k}"} for k in range(4)]
        ids = [one["order_id"] for one in orders_of(await socket.ask("place", orders=orders))]

        answer = await socket.ask(
            "cancel",
            orders=[{"order_id": ids[0]}, {"client_order_id": "1"}, {"order_id": ids[0]}, {"client_order_id": "9"}],
        )
        assert codes_of(answer) == [None, None, "UNKNOWN_ORDER", "UNKNOWN_ORDER"]
        assert [one["error"]["field"] for one in answer["results"][2:]] == ["order_id", "client_order_id"]
        assert [one["order"]["status"] for one in answer["results"][:2]] == ["CANCELED"] * 2

        answer = await socket.ask(
            "amend",
            orders=[
                {"order_id": ids[2], "quantity": "0.00015"},
                {"order_id": ids[3], "quantity": "0.0003"},
                {"order_id": ids[0], "quantity": "0.00015"},
                {"order_id": ids[3], "quantity": "0.000000001"},
                {"order_id": ids[3], "quantity": "0.00001"},
            ],
        )
        assert codes_of(answer) == [None, "AMEND_NOT_REDUCED", "UNKNOWN_ORDER", "LOT_SIZE", "NOTIONAL"]
        assert answer["results"][0]["order"]["quantity"] == "0.00015"

        (replaced,) = orders_of(await socket.ask("replace", order_id=ids[2], quantity="0.0003", price="49999"))
        assert (replaced["price"], replaced["quantity"]) == ("49999.00", "0.00030")
        gone = await socket.ask("replace", order_id=ids[2], quantity="0.0003", price="49999")
        assert (gone["ok"], gone["error"]["code"], gone["error"]["field"]) == (False, "UNKNOWN_ORDER", "order_id")

        orders_of(
            await socket.ask("place", orders=[{**REST, "symbol": "ETHUSDT", "price": "2000", "quantity": "0.01"}])
        )
        canceled = orders_of(await socket.ask("cancel_all", symbol=BTC))
        assert {one["order_id"] for one in canceled} == {ids[3], replaced["order_id"]}
        assert [one["symbol"] for one in orders_of(await socket.ask("cancel_all"))] == ["ETHUSDT"]
        assert orders_of(await socket.ask("cancel_all")) == []


@FORMATS
async def test_stop_orders_and_icebergs(trader: Client, binary: bool) -> None:
    """WS-O13, WS-O14."""
    stop = {"symbol": BTC, "side": "SELL", "type": "STOP_LOSS", "quantity": "0.0005"}
    async with trader.trading_socket(binary=binary) as socket:
        (bought,) = orders_of(await socket.ask("place", orders=[{**TAKE, "quantity": "0.002"}]))
        price = Decimal(bought["average_price"])
        low, high = (format((price * Decimal(share)).quantize(Decimal("0.01")), "f") for share in ("0.7", "1.3"))
        answer = await socket.ask(
            "place",
            orders=[
                {**stop, "stop_price": low},
                {**stop, "trailing_bips": 500},
                {**REST, "quantity": "0.001", "display_quantity": "0.0002"},
                {**stop, "stop_price": high},
                stop,
            ],
        )
        assert codes_of(answer) == [None, None, None, "STOP_WOULD_TRIGGER", "VALIDATION"]
        waiting, trailing, iceberg = (one["order"] for one in answer["results"][:3])
        assert (waiting["status"], waiting["stop_price"], waiting["is_working"]) == ("NEW", low, False)
        assert "trailing_bips" not in waiting
        assert (trailing["trailing_bips"], trailing["is_working"]) == (500, False)
        assert iceberg["display_quantity"] == "0.00020"
        assert "stop_price" not in iceberg
        assert len(orders_of(await socket.ask("cancel_all", symbol=BTC))) == 3


async def test_a_paused_account_is_told_so(trader: Client) -> None:
    """WS-O11."""
    async with trader.trading_socket() as socket:
        (resting,) = orders_of(await socket.ask("place", orders=[REST]))
        await trader.post("/api/v1/trading/control", {"action": "pause"})
        try:
            assert codes_of(await socket.ask("place", orders=[REST, TAKE])) == ["ACCOUNT_PAUSED"] * 2
            assert codes_of(await socket.ask("cancel", orders=[{"order_id": resting["order_id"]}])) == [None]
        finally:
            await trader.post("/api/v1/trading/control", {"action": "resume"})


# -- private stream -------------------------------------------------------------------------------------------------


@FORMATS
async def test_the_private_stream_is_dense_and_tells_balances(trader: Client, binary: bool) -> None:
    """WS-S01, WS-S02."""
    async with trader.trading_socket(binary=binary) as socket:
        at, _ = await trader.standing()
        assert (await socket.ask("subscribe"))["seq"] == at
        (resting,) = orders_of(await socket.ask("place", orders=[{**REST, "client_order_id": "mine"}]))
        await socket.ask("amend", orders=[{"order_id": resting["order_id"], "quantity": "0.00015"}])
        await socket.ask("cancel", orders=[{"client_order_id": "mine"}])
        await socket.ask("place", orders=[{**REST, "time_in_force": "IOC"}])
        await socket.ask("place", orders=[TAKE])
        refused = await socket.ask("place", orders=[{**REST, "price": "1000", "quantity": "0.01"}])
        assert codes_of(refused) == ["PERCENT_PRICE_BY_SIDE"]
        await trader.post("/api/portfolio/top-up", {"asset": "USDT", "amount": "5"})
        last, balances = await trader.standing()
        events = await socket.until_seq(last)
    assert [event["seq"] for event in events] == list(range(at + 1, last + 1))
    kinds = [event["exec_type"] for event in events]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        "NEW", "REPLACED", "CANCELED", "NEW", "EXPIRED", "NEW", "TRADE", "REJECTED", "BALANCE",
    ]  # fmt: skip
    assert events[-1]["change"] == "5.00000000"
    told = {asset: (free, locked) for event in events for asset, free, locked in event["balances"]}
    assert told["USDT"] == balances["USDT"]
    assert told["BTC"] == balances["BTC"]
    assert [event["order"]["status"] for event in events[:3]] == ["NEW", "NEW", "CANCELED"]
    assert events[1]["order"]["quantity"] == "0.00015"
    trade = next(event for event in events if event["exec_type"] == "TRADE")
    assert trade["is_maker"] is False
    assert len(trade["order"]["fills"]) == 1


async def test_a_refused_change_does_not_tell_of_a_changed_order(trader: Client) -> None:
    """WS-S02: CANCEL_REJECTED comes without an order, the one it names is as it was."""
    async with trader.trading_socket() as socket:
        await socket.ask("subscribe")
        (resting,) = orders_of(await socket.ask("place", orders=[REST]))
        answer = await socket.ask("amend", orders=[{"order_id": resting["order_id"], "quantity": "1"}])
        assert codes_of(answer) == ["AMEND_NOT_REDUCED"]
        await socket.ask("cancel_all", symbol="ETHUSDT")
        told = [event for event in socket.events if event["exec_type"] == "CANCEL_REJECTED"]
        assert [(one["symbol"], one["order_id"], one["reason"], "order" in one) for one in told] == [
            (BTC, resting["order_id"], "AMEND_NOT_REDUCED", False),
            ("ETHUSDT", None, "UNKNOWN_ORDER", False),
        ]
    assert await trader.order(resting["order_id"]) == resting


async def test_the_maker_hears_of_its_fill(trader: Client, other: Client) -> None:
    """WS-S03."""
    await other.buy(BTC, quantity="0.01")
    async with trader.trading_socket() as maker, other.trading_socket() as taker:
        await maker.ask("subscribe")

        async def meet() -> tuple[Json, Json, Json] | None:
            """Placed, heard and the taker's fill; None when a participant of the market was in between."""
            maker.events.clear()
            bid, ask = await trader.top_of_book(BTC)
            tick = Decimal("0.01")
            price = str(bid + max(tick, (ask - bid) / 2 // tick * tick))
            placed = await maker.ask("place", orders=[{**REST, "type": "LIMIT_MAKER", "price": price}])
            taking = {**REST, "side": "SELL", "price": price, "time_in_force": "IOC"}
            (taken,) = orders_of(await taker.ask("place", orders=[taking]))
            await maker.ask("ping")  # told of in the same breath: by now it is here
            heard = [event for event in maker.events if event["exec_type"] == "TRADE"]
            sold = {fill["trade_id"]: fill for fill in taken["fills"]}
            if heard and (trade_id := heard[0]["order"]["fills"][0]["trade_id"]) in sold:
                return placed["results"][0]["order"], heard[0], sold[trade_id]
            await maker.ask("cancel_all")
            return None

        met = await eventually(meet, bool, "the resting order is hit")
        assert met is not None
        placed, heard, sold = met
        assert heard["is_maker"] is True
        assert heard["order"]["order_id"] == placed["order_id"]
        (fill,) = heard["order"]["fills"]
        assert (Decimal(fill["price"]), fill["quantity"]) == (Decimal(placed["price"]), sold["quantity"])
        assert (Decimal(fill["commission"]) * 1000, fill["commission_asset"]) == (Decimal(fill["quantity"]), "BTC")


@FORMATS
async def test_resuming_gives_exactly_what_was_missed(trader: Client, binary: bool) -> None:
    """WS-S04."""
    async with trader.trading_socket() as socket:
        await socket.ask("subscribe")
        await socket.ask("place", orders=[REST])
        seen = (await socket.event())["seq"]
    for _ in range(3):
        await trader.buy(BTC, quantity="0.001")
    await trader.cancel_all()
    last, _ = await trader.standing()
    async with trader.trading_socket(binary=binary) as socket:
        answer = await socket.ask("subscribe", from_seq=seen)
        assert answer["seq"] == last, "what was missed comes before the answer"
        assert [event["seq"] for event in socket.events] == list(range(seen + 1, last + 1))
        socket.events.clear()
        await socket.ask("place", orders=[REST])
        assert [event["seq"] for event in socket.events] == [last + 1], "and then it goes on"
    async with trader.trading_socket() as socket:
        await socket.ask("subscribe", from_seq=last + 1)
        assert socket.events == []


async def test_two_sockets_of_one_account_hear_the_same(trader: Client) -> None:
    """WS-S07."""
    async with trader.trading_socket() as one, trader.trading_socket() as two:
        await one.ask("subscribe")
        at = (await two.ask("subscribe"))["seq"]
        again = await one.ask("subscribe")
        assert (again["error"]["code"], again["error"]["field"]) == ("VALIDATION", "op")
        await one.ask("place", orders=[REST, REST])
        assert await two.until_seq(at + 2) == one.events
    async with trader.trading_socket() as three:
        await three.ask("subscribe")
        await trader.cancel_all()
        assert [event["seq"] for event in await three.until_seq(at + 4)] == [at + 3, at + 4]


async def test_a_resume_ahead_or_too_far_back_is_refused(trader: Client) -> None:
    """WS-S05, WS-S06: 65,536 reports are kept, those of all accounts together."""
    prices = {one["symbol"]: one for one in (await trader.get("/api/market/prices"))["prices"]}
    batch = []
    for one in (await trader.get("/api/market/symbols"))["symbols"]:
        lot, tick = Decimal(one["lot_size"]), Decimal(one["tick_size"])
        price = Decimal(prices[one["symbol"]]["last_price"]) / 2 // tick * tick
        quantity = (Decimal(6) / price // lot + 1) * lot
        batch += [{**REST, "symbol": one["symbol"], "price": str(price), "quantity": str(quantity)}] * 125
    batch = [{**one, "time_in_force": "IOC"} for one in batch]
    before, _ = await trader.standing()
    async with trader.trading_socket() as socket:
        ahead = await socket.ask("subscribe", from_seq=before + 1)
        assert (ahead["error"]["code"], ahead["error"]["field"]) == ("RESUME_AHEAD", "from_seq")
        assert str(before) in ahead["error"]["detail"]
        frame = msgspec.json.encode({"op": "place", "orders": batch}).decode()
        at = before
        while at <= before + 65_536:
            await socket.send_raw(frame)
            assert len(orders_of(await socket.answer())) == 1000
            at, _ = await trader.standing()
        refused = await socket.ask("subscribe", from_seq=before)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("RESUME_TOO_OLD", "from_seq")
        assert (await socket.ask("subscribe", from_seq=at - 10_000))["ok"], "more than a slow reader may let wait"
        assert [event["seq"] for event in socket.events] == list(range(at - 9_999, at + 1))


# -- portfolio ------------------------------------------------------------------------------------------------------


@FORMATS
async def test_the_portfolio_follows_a_fill(trader: Client, binary: bool) -> None:
    """WS-P01, WS-P02, WS-P03."""
    async with trader.socket("/ws/portfolio", binary=binary) as socket:
        assert (await socket.ask("ping"))["op"] == "pong"
        first = await socket.event()
        assert first["channel"] == "portfolio"
        assert first["portfolio"]["equity"] == "100000.00000000"
        await trader.buy(BTC, quantity="0.001")
        seq, balances = await trader.standing()
        then = await socket.event(lambda event: event["seq"] >= seq)
        told = {one["asset"]: (one["free"], one["locked"]) for one in then["portfolio"]["balances"]}
        assert told == balances
        again = await socket.event()
        assert again["seq"] == seq, "valued anew without a change of its own"


# -- market data ----------------------------------------------------------------------------------------------------


async def test_all_channels_of_a_symbol(anyone: Client) -> None:
    """WS-M01, WS-M02, WS-M03."""
    async with anyone.socket("/ws/prices") as socket:
        answer = await socket.ask("subscribe", channels=["ticker", "depth", "trades"], symbols=[BTC])
        assert answer["subscriptions"] == 3
        ticker = await socket.event(lambda event: event["channel"] == "ticker")
        rest = (await anyone.get("/api/market/prices", symbol=BTC))["prices"][0]
        assert set(ticker) - {"channel"} == set(rest)

        updates: list[int] = []
        trade_ids: list[int] = []
        while len(updates) < 5 or len(trade_ids) < 3:
            event = await socket.event()
            assert event["symbol"] == BTC
            if event["channel"] == "depth":
                updates.append(event["last_update_id"])
                bids, asks = ([Decimal(price) for price, _ in event[side]] for side in ("bids", "asks"))
                assert 0 < len(bids) <= 20
                assert bids == sorted(bids, reverse=True)
                assert bids[0] < min(asks)
            elif event["channel"] == "trades":
                trade_ids += [trade["trade_id"] for trade in event["trades"]]
                assert {trade["taker_side"] for trade in event["trades"]} <= {"BUY", "SELL"}
        assert updates == sorted(updates)
        assert trade_ids == list(range(trade_ids[0], trade_ids[0] + len(trade_ids))), "no trade is skipped"

        async def tape() -> list[int]:
            found = await anyone.get("/api/market/trades", symbol=BTC, from_id=trade_ids[0], limit=len(trade_ids))
            return [trade["trade_id"] for trade in found["trades"]]

        await eventually(tape, lambda found: found == trade_ids, "the tape has them too")


async def test_subscriptions_change(anyone: Client) -> None:
    """WS-M04, WS-M05."""
    async with anyone.socket("/ws/prices") as socket:
        assert (await socket.ask("subscribe"))["subscriptions"] == 24, "everything"
        assert (await socket.ask("unsubscribe", channels=["trades", "depth"]))["subscriptions"] == 8
        assert (await socket.ask("unsubscribe", symbols=[BTC]))["subscriptions"] == 7
        assert (await socket.ask("subscribe", channels=["ticker"], symbols=[BTC]))["subscriptions"] == 8
        for fields, code, field in (
            ({"symbols": ["NOPE"]}, "UNKNOWN_SYMBOL", "symbols"),
            ({"symbols": [BTC, "NOPE"]}, "UNKNOWN_SYMBOL", "symbols"),
            ({"channels": ["candles"]}, "VALIDATION", "channels[0]"),
            ({"channel": "ticker"}, "VALIDATION", "channel"),
            ({"symbols": ["N" * 100_000]}, "UNKNOWN_SYMBOL", "symbols"),
        ):
            told = await socket.ask("subscribe", **fields)
            assert (told["error"]["code"], told["error"]["field"]) == (code, field)
            assert len(told["error"]["detail"]) <= 300
        assert (await socket.ask("unsubscribe"))["subscriptions"] == 0
        while True:  # what was queued before may still come; then nothing but answers
            socket.events.clear()
            await socket.ask("ping")
            if not socket.events:
                break


async def test_subscriptions_in_the_address(anyone: Client) -> None:
    """WS-M06."""
    async with anyone.socket("/ws/prices", channels="ticker,depth", symbols=f"{BTC},ETHUSDT") as socket:
        seen: set[tuple[str, str]] = set()
        while len(seen) < 4:
            event = await socket.event()
            seen.add((event["channel"], event["symbol"]))
        assert seen == {(channel, symbol) for channel in ("ticker", "depth") for symbol in (BTC, "ETHUSDT")}
    for query, code, field in (
        ({"symbols": "NOPE"}, "UNKNOWN_SYMBOL", "symbols"),
        ({"channels": "candles"}, "VALIDATION", "channels[0]"),
    ):
        async with anyone.socket("/ws/prices", **query) as socket:  # type: ignore[arg-type]
            told = await socket.receive()
            assert (told["error"]["code"], told["error"]["field"]) == (code, field)
            assert (await socket.ask("ping"))["ok"], "the socket stays"


async def test_a_messagepack_client_gets_market_data_as_json_text(anyone: Client) -> None:
    """WS-M07: those messages are encoded once for everybody."""
    async with anyone.socket("/ws/prices", binary=True) as socket:
        assert (await socket.ask("subscribe", channels=["ticker"], symbols=[BTC]))["ok"]
        message = await socket.receive_message()
        assert message.type is aiohttp.WSMsgType.TEXT


# -- limits, with a transport that does as it is told ---------------------------------------------------------------


class Transport:
    """Takes messages while `open`; says what arrived."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.taken: list[Any] = []
        self._arrivals: asyncio.Queue[Any] = asyncio.Queue()
        self.closed: tuple[int, str] | None = None
        self.incoming: asyncio.Queue[Json] = asyncio.Queue()
        self.socket = AsgiSocket(self, Handshake("/ws/orders", "", {}, None))  # type: ignore[arg-type]

    async def receive(self) -> Json:
        return await self.incoming.get()

    async def send(self, message: Json) -> None:
        await self.open.wait()
        self.taken.append(message.get("text") or message.get("bytes"))
        self._arrivals.put_nowait(self.taken[-1])

    async def arrived(self) -> Any:
        """The next message that was taken."""
        return await self._arrivals.get()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


def outbox_of(transport: Transport, limit: int = 5) -> Outbox:
    return Outbox(transport.socket, limit)


async def test_a_reader_that_lets_too_many_wait_is_cut_off() -> None:
    """WS-L01: nothing follows a message that was lost."""
    transport = Transport()
    outbox = outbox_of(transport)
    for k in range(8):
        outbox.send(f"{k}")
    transport.open.set()
    await transport.socket.write(outbox)
    assert transport.taken == []
    assert transport.closed == (1013, "reads too slowly; reconnect and resume")


async def test_bytes_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """WS-L01."""
    monkeypatch.setattr(outboxes, "WAITING_BYTES", 100)
    transport = Transport()
    transport.open.set()
    outbox = outbox_of(transport, 1000)
    writing = asyncio.create_task(transport.socket.write(outbox))
    for _ in range(5):
        outbox.send(b"x" * 90)
        await transport.arrived()
    assert transport.closed is None, "what was sent no longer counts"
    outbox.send(b"x" * 60)
    outbox.send(b"x" * 60)
    await writing
    assert transport.closed is not None


async def test_states_are_conflated_and_events_kept() -> None:
    """WS-L02."""
    transport = Transport()
    outbox = outbox_of(transport)
    writing = asyncio.create_task(transport.socket.write(outbox))
    for k in range(100):
        outbox.replace("depth", f"depth {k}")
        outbox.replace("ticker", f"ticker {k}")
        if k % 25 == 0:
            outbox.send(f"trade {k}")
    transport.open.set()
    outbox.close(1013, "restarting")
    outbox.send("too late")
    outbox.replace("depth", "too late")
    await writing
    assert transport.taken == ["trade 0", "trade 25", "trade 50", "trade 75", "depth 99", "ticker 99"]
    assert transport.closed == (1013, "restarting")


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """WS-L03."""
    monkeypatch.setattr(outboxes, "SEND_TIMEOUT_S", 0.01)
    transport = Transport()
    outbox = outbox_of(transport)
    outbox.send("never taken")
    await transport.socket.write(outbox)
    assert outbox.closed


async def test_a_socket_without_a_token_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """WS-A05."""
    monkeypatch.setattr(sessions, "AUTH_TIMEOUT_S", 0.01)
    transport = Transport()
    transport.open.set()
    session = OrdersSession(None, transport.socket, None, sessions.SocketCount())  # type: ignore[arg-type]
    await transport.socket.run(session)
    assert transport.closed == (1008, "authenticate with a valid access token")


@pytest.mark.parametrize(
    ("times", "most"), [(1.0, IN_FLIGHT_LIMIT), (0.5, IN_FLIGHT_LIMIT // 2), (2.0, 2 * IN_FLIGHT_LIMIT)]
)
async def test_too_many_frames_that_wait_are_refused(times: float, most: int) -> None:
    """WS-F06."""

    class Busy:
        asked = 0

        def profile_of(self, account: int) -> TradingProfile:
            return TradingProfile(rate_limit=times)

        def pack(self, account: int, orders: list[Any]) -> tuple[list[bytes], dict[int, Any]]:
            return [b"order" for _ in orders], {}

        def send(self, account: int, packed: list[bytes], answered: Any) -> None:
            self.asked += 1

    class Anyone:
        async def authenticate(self, token: str) -> Any:
            return Principal(1, "alice", Role.USER, 1)

    busy, transport = Busy(), Transport()
    transport.open.set()
    session = OrdersSession(busy, transport.socket, Anyone(), sessions.SocketCount())  # type: ignore[arg-type]
    session.principal = await Anyone().authenticate("")
    writing = asyncio.create_task(transport.socket.write(session.outbox))
    frame = msgspec.json.encode({"op": "place", "id": 7, "orders": [REST]}).decode()
    session._ready = True
    for _ in range(most + 1):
        session.received(frame)
    told = msgspec.json.decode(await transport.arrived())
    assert (told["id"], told["error"]["code"]) == (7, "OVERLOADED")
    assert busy.asked == most
    session.restart()
    await writing
    assert transport.closed == (1013, "restarting; reconnect and resume from your last seq"), "WS-S08"
    session.on_close()


# -- packed frames --------------------------------------------------------------------------------------------------


async def packed(socket: Socket, op: int, orders: Any, request_id: int, version: int = VERSION) -> bytes:
    """The answer to a packed frame."""
    await socket.send_raw(HEAD.pack(MAGIC, version, op, 0, len(orders), request_id) + orders.tobytes())
    message = await socket.receive_message()
    told: bytes = message.data
    assert told[:3] == bytes([MAGIC, VERSION, op | ANSWER])
    assert HEAD.unpack_from(told)[-1] == request_id
    return told


def packed_orders(count: int, **fields: Any) -> Any:
    orders = np.zeros(count, PLACE)
    orders["price_ticks"], orders["qty_lots"] = 5_000_000, 20
    for name, values in fields.items():
        orders[name] = values
    return orders


async def test_packed_frames(trader: Client) -> None:
    """WS-K01, WS-K02: by the side of JSON on the same socket."""
    async with trader.trading_socket(binary=False) as socket:
        orders = packed_orders(4, side=[0, 7, 0, 0], client_order_id=[b"k-1", b"k-2", b"", b"k-4"])
        orders["type"][3], orders["price_ticks"][3], orders["qty_lots"][3] = 1, 0, 100
        told = await packed(socket, Op.PLACE, orders, (1 << 64) - 1)
        results = np.frombuffer(told, RESULT, 4, HEAD.size)
        fills = np.frombuffer(told, FILL, offset=HEAD.size + 4 * RESULT.itemsize)
        assert results["status"].tolist() == [1, 5, 1, 3]
        assert (results["reason"][1], FIELDS[results["field"][1]]) == (REASON_VALIDATION, "side")
        assert (results["leaves_lots"][0], results["cum_qty_lots"][3]) == (20, 100)
        assert set(fills["result"].tolist()) == {3}
        assert fills["qty_lots"].sum() == 100
        assert fills["in_quote"].sum() == 0
        assert (await packed(socket, Op.ECHO, orders, 3))[4:8] == bytes(4)
        named = np.zeros(3, CANCEL)
        named["client_order_id"][0], named["order_id"][1] = b"k-1", results["order_id"][2]
        named["client_order_id"][2] = b"k-none"
        told = await packed(socket, Op.CANCEL, named, 4)
        results = np.frombuffer(told, RESULT, 3, HEAD.size)
        assert results["status"].tolist() == [4, 4, 5]
        assert (results["reason"][2], FIELDS[results["field"][2]]) == (22, "client_order_id")
        await socket.send({"op": "ping", "id": 5})
        assert (await socket.answer())["op"] == "pong"


@pytest.mark.parametrize(
    ("op", "count", "version", "field"), [(1, 1, 2, "version"), (9, 1, 1, "op"), (1, 0, 1, "count"), (2, 3, 1, "count")]
)
async def test_a_wrong_head_refuses_the_packed_frame(
    trader: Client, op: int, count: int, version: int, field: str
) -> None:
    """WS-K03"""
    async with trader.trading_socket(binary=True) as socket:
        told = await packed(socket, op, packed_orders(count), 7, version)
        assert HEAD.unpack_from(told)[3:5] == (1, 0)
        error = msgspec.json.decode(told[HEAD.size :])
        assert (error["code"], error["field"]) == ("VALIDATION", field)
