"""The benchmarks' own parts: what they send is what they say they send, and wrong figures are refused."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bench import __main__ as command
from bench import workload
from bench.client import ConnectionBroken, HttpConnection, WebSocketConnection, binary_frame, text_frame
from bench.exchange import Exchange, Terms
from bench.load import Client, Figures, Tally, _reason
from bench.measure import DATA_PORT, Question, Runner
from bench.order_path import main
from bench.order_rows import further, questions
from bench.order_targets import targets
from bench.report import BenchError
from bench.workload import JSON, MSGPACK, Codec, Plan, Step
from market.universe import instruments

LISTED = instruments(1)[0]
TERMS = Terms(LISTED.symbol, LISTED.tick, LISTED.lot, LISTED.start_price_ticks * LISTED.tick)
PLAN = Plan(3, ["token", "other"], TERMS)


def unmasked(frame: bytes) -> tuple[int, bytes]:
    """Opcode and payload of a client's frame, by RFC 6455."""
    assert frame[0] & 128, "one frame is the whole message"
    assert frame[1] & 128, "a client masks"
    size, at = frame[1] & 127, 2
    if size == 126:
        size, at = int.from_bytes(frame[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(frame[2:10], "big"), 10
    mask, masked = frame[at : at + 4], frame[at + 4 :]
    assert len(masked) == size
    return frame[0] & 15, bytes(b ^ mask[k % 4] for k, b in enumerate(masked))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_masked_whatever_their_size(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    assert unmasked(binary_frame(payload)) == (2, payload)
    assert unmasked(text_frame(payload)) == (1, payload)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


def server_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([128 | opcode, size]) + payload
    if size < 65_536:
        return bytes([128 | opcode, 126]) + size.to_bytes(2, "big") + payload
    return bytes([128 | opcode, 127]) + size.to_bytes(8, "big") + payload


def opened() -> tuple[WebSocketConnection, Wire, list[bytes]]:
    connection, wire, heard = WebSocketConnection(), Wire(), []
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.on_message = heard.append
    connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    return connection, wire, heard


async def test_messages_arrive_whole_however_the_bytes_are_cut() -> None:
    sent = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 70_000]
    stream = b"".join(server_frame(2, one) for one in sent)
    for cut in (1, 7, 1000, len(stream)):
        connection, _, heard = opened()
        for at in range(0, len(stream), cut):
            connection.data_received(stream[at : at + cut])
        assert heard == sent


async def test_pings_are_answered_and_closes_told() -> None:
    connection, wire, heard = opened()
    connection.data_received(server_frame(9, b"there?") + server_frame(8, b"\x03\xf5too slow"))
    assert unmasked(wire.written) == (10, b"there?")
    assert heard == []
    with pytest.raises(ConnectionBroken, match="too slow"):
        await connection.broken
    assert wire.aborted


async def test_a_refused_upgrade_tells_the_status() -> None:
    connection = WebSocketConnection()
    connection.connection_made(Wire())  # type: ignore[arg-type]
    connection.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    for future in (connection.opened, connection.broken):
        with pytest.raises(ConnectionBroken, match="503"):
            await future


async def test_http_responses_are_cut_by_their_length() -> None:
    connection, heard = HttpConnection(), list[bytes]()
    connection.on_message = heard.append
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"
    for byte in answer * 2:
        connection.data_received(bytes([byte]))
    assert heard == [answer, answer]


def requests_of(steps: list[Step], codec: Codec) -> list[dict[str, Any]]:
    return [codec.decode(unmasked(step.payload)[1]) for step in steps]


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_placed_orders_are_canceled_and_never_too_many(codec: Codec, size: int) -> None:
    steps = workload.place(PLAN, codec, size)
    resting: set[str] = set()
    most = 0
    kinds: Counter[str] = Counter()
    for _ in range(2):  # the cycle begins anew with the same names
        for step, request in zip(steps, requests_of(steps, codec), strict=True):
            names = [one["client_order_id"] for one in request["orders"]]
            assert step.expects == len(names) == step.orders + step.cancels
            if request["op"] == "cancel":
                assert resting.issuperset(names)
                resting.difference_update(names)
                continue
            assert len(names) == size
            gtc = [one["client_order_id"] for one in request["orders"] if one["time_in_force"] == "GTC"]
            kinds.update(one["time_in_force"] for one in request["orders"])
            assert not resting.intersection(gtc)
            resting.update(gtc)
            most = max(most, len(resting))
        assert not resting, "a cycle leaves nothing behind"
    assert 0 < most <= 200
    assert kinds["GTC"] >= 2 * kinds["IOC"] > 0


@pytest.mark.parametrize("work", [workload.place, workload.ioc, workload.cross])
def test_orders_fit_the_filters_and_stay_off_the_market(work: Any) -> None:
    for request in requests_of(work(PLAN, JSON, 100), JSON):
        for one in request["orders"]:
            if "price" not in one:
                continue
            price, quantity = Decimal(one["price"]), Decimal(one["quantity"])
            assert price % LISTED.tick == 0
            assert quantity % LISTED.lot == 0
            assert Decimal(5) <= price * quantity <= 13
            if work is not workload.cross:
                away = price / TERMS.price
                assert 0.59 < away < 0.91 if one["side"] == "BUY" else 1.09 < away < 1.41


def test_crossing_orders_fill_each_other_to_the_last_lot() -> None:
    steps = workload.cross(PLAN, JSON, 10)
    requests = requests_of(steps, JSON)
    assert [step.connection for step in steps] == [0, 1, 1, 0]
    for sells, buys in ((requests[0], requests[1]), (requests[2], requests[3])):
        for sell, buy in zip(sells["orders"], buys["orders"], strict=True):
            assert (sell["side"], buy["side"]) == ("SELL", "BUY")
            assert sell["quantity"] == buy["quantity"]
            assert Decimal(buy["price"]) >= Decimal(sell["price"])
    assert sum(step.fills for step in steps) * 2 == sum(step.orders for step in steps)


def test_no_ops_carry_the_same_orders() -> None:
    echoes = requests_of(workload.echo(PLAN, JSON, 100), JSON)
    assert {one["op"] for one in echoes} == {"echo"}
    assert all(len(one["orders"]) == 100 for one in echoes)


class Silent:
    """A connection of a client under test."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.on_message: Any = None

    def send(self, encoded: bytes) -> None:
        self.sent.append(encoded)


async def test_refusals_are_counted_by_code() -> None:
    connection, tally = Silent(), Tally()
    steps = [Step(b"frame", JSON.accepted, 2, orders=2)]
    client = Client([connection], steps, tally, JSON.fill)  # type: ignore[list-item]
    client.begin()
    tally.counting = True
    good = {"order": {}, "error": None}
    bad = {"order": None, "error": {"code": "MAX_NUM_ORDERS"}}
    connection.on_message(msgspec.json.encode({"ok": True, "results": [good, good]}))
    connection.on_message(msgspec.json.encode({"ok": True, "results": [good, bad]}))
    tally.stopping = True
    connection.on_message(msgspec.json.encode({"ok": False, "error": {"code": "OVERLOADED"}}))
    await asyncio.wait_for(client.done, 1)
    assert (tally.requests, tally.orders, tally.refused) == (3, 6, 3)
    assert tally.reasons == {"MAX_NUM_ORDERS": 1, "OVERLOADED": 2}
    assert connection.sent == [b"frame"] * 3


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
def test_reasons_are_read_in_any_format(encode: Any) -> None:
    assert _reason(encode({"ok": False, "error": {"code": "OVERLOADED"}})) == "OVERLOADED"
    assert _reason(b"HTTP/1.1 429 x\r\n\r\n" + encode({"code": "RATE_LIMITED"})) == "RATE_LIMITED"
    assert "nothing" in _reason(b"nothing to read")


def figures(requests: int = 100, orders: int = 100, fills: int = 0, refused: int = 0, p50_ms: float = 1.0) -> Figures:
    due = orders // 2 if fills else 0
    return Figures(1.0, requests, orders, 0, fills, refused, {"X": refused}, p50_ms, 2.0, {"gateway": 0.1}, due)


class Rigged(Runner):
    """Measures nothing: gives the figures it was made with."""

    def __init__(self, *given: Figures) -> None:
        self._exchange = Exchange("http://127.0.0.1:1", None, 0)
        self._users = []
        self._given = list(given)

    def measure(self, question: Question, work: str, rate: float = 0.0, by_process: bool = False) -> Figures:
        return self._given.pop(0)


PLACE = Question("WS", "JSON", 64, 1, "echo", "place")
CROSS = Question("WS", "JSON", 8, 1, "echo", "cross")


def test_the_fastest_round_counts() -> None:
    found = Rigged(figures(200), figures(50), figures(100), figures(80)).answer(PLACE, 2)
    assert (found.noop.requests, found.order.requests, found.ratio) == (200, 80, 0.4)


@pytest.mark.parametrize(
    ("question", "order", "said"),
    [
        (PLACE, figures(refused=1), "1.00% of the commands were refused (X x1)"),
        (CROSS, figures(fills=49), "2.00% of the fills are missing"),
    ],
)
def test_figures_that_mean_nothing_are_refused(question: Question, order: Figures, said: str) -> None:
    with pytest.raises(BenchError) as raised:
        Rigged(figures(orders=0), order).answer(question, 1)
    assert said in str(raised.value)


def test_targets_are_judged_by_the_best_row_and_the_echo_of_the_ingress() -> None:
    ingress = Rigged(figures(1000), figures(300)).answer(PLACE, 1)
    straight = msgspec.structs.replace(PLACE, transport=DATA_PORT)
    many = Rigged(figures(2000), figures(600), figures(300)).answer(straight, 1)
    packed = msgspec.structs.replace(straight, codec="packed", clients=16, orders_per_frame=100, order="ioc")
    frames = Rigged(figures(2000), figures(orders=200_000)).answer(packed, 1)
    lone = Rigged(figures(), figures(p50_ms=1.3)).answer(msgspec.structs.replace(straight, clients=1), 1)
    http = [Question("HTTP", "", n, 1, "noop", "buy") for n in (1, 16)]
    slow, fast = (Rigged(figures(100), figures(k)).answer(one, 1) for k, one in zip((95, 74), http, strict=True))
    assert many.half is not None
    assert (lone.half, frames.half) == (None, None)
    told = [(one.found, one.verdict) for one in targets([ingress, many, frames, lone, slow, fast])]
    assert told == [
        (0.6, "met"), (200_000.0, "met"), (0.74, "missed"), (1.3, "missed"), (2.0, "aim met"), (2.0, "aim met"),
    ]  # fmt: skip
    assert targets([]) == []


def test_every_row_has_its_own_name_and_known_work() -> None:
    rows = [*questions(), *further()]
    assert len({one.name for one in rows}) == len(rows)
    for one in rows:
        known: Any = workload.SOCKET if one.codec else workload.HTTP
        assert {one.noop, one.order} <= set(known)


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert command.main(["no-such"]) == 2
    assert command.main(["order_path", "--only", "no such row"]) == 1
    assert "The rows: HTTP buy 1x1" in capsys.readouterr().err.replace("\n", " ")


def test_an_exchange_that_is_not_there_is_told() -> None:
    with pytest.raises(BenchError, match="raypit status"):
        Exchange("http://127.0.0.1:9", None, 0).ask("GET", "/health/live")
    with pytest.raises(BenchError, match="raypit up"):
        main(["--data", "/nowhere"])
