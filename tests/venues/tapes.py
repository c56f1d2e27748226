"""What fake venues play: frames in the order a venue would send them, and the venue's own idea of its book.

A tape is either recorded (../shared/data) or written here from a seeded walk in the venue's documented schema. Nothing of
`market.venues` is used: these are the other side.
"""

import ast
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

Levels = dict[Decimal, Decimal]


class Said(NamedTuple):
    """One frame of the tape: who has the topic hears it."""

    topic: str
    frame: bytes


class OwnBook:
    """A venue's book, with its number."""

    def __init__(self) -> None:
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.seq = 0

    def change(self, bids: Any, asks: Any) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for level in levels:
                price, qty = Decimal(str(level[0])), Decimal(str(level[1]))
                if qty:
                    side[price] = qty
                else:
                    side.pop(price, None)

    def whole(self, bids: Any, asks: Any) -> None:
        self.bids, self.asks = {}, {}
        self.change(bids, asks)

    def best_first(self) -> tuple[list[list[str]], list[list[str]]]:
        bids = [[f"{price:f}", f"{self.bids[price]:f}"] for price in sorted(self.bids, reverse=True)]
        asks = [[f"{price:f}", f"{self.asks[price]:f}"] for price in sorted(self.asks)]
        return bids, asks


def steps_in(book: OwnBook, tick: Decimal, lot: Decimal) -> dict[tuple[int, int], int]:
    """Lots by side (0: bids) and price in ticks."""
    return {
        (side, int(price / tick)): int(qty / lot)
        for side, levels in enumerate((book.bids, book.asks))
        for price, qty in levels.items()
    }


class Tape:
    """A venue's side of the conversation; one subclass per venue."""

    binary = False
    symbol: str
    tick: str
    lot: str
    captured: str
    """Recorded answers of the venue's REST side."""

    def __init__(self, frames: Sequence[Said]) -> None:
        self.frames = list(frames)
        self.book = OwnBook()

    def asked(self, text: bytes, topics: set[str]) -> tuple[set[str], list[bytes]]:
        """The topics after a message of the client, and the answers to it."""
        raise NotImplementedError

    def opening(self, topic: str) -> bytes | None:
        """What is sent first for a new topic."""
        return None

    def happened(self, said: Said) -> None:
        """Move the venue's own book."""
        raise NotImplementedError

    def rest(self, path: str) -> bytes | None:
        """The answer to a GET; what is not this venue's own book is looked up among the captured answers."""
        return answers(self.captured).get(path.partition("?")[0])


class BinanceTape(Tape):
    symbol, tick, lot = "BTCUSDT", "0.01", "0.00001"
    captured = "BINANCE.0.gz"
    DEPTH = "btcusdt@depth@100ms"

    def asked(self, text: bytes, topics: set[str]) -> tuple[set[str], list[bytes]]:
        said = json.loads(text)
        named = set(said["params"])
        topics = topics | named if said["method"] == "SUBSCRIBE" else topics - named
        return topics, [json.dumps({"result": None, "id": said["id"]}).encode()]

    def happened(self, said: Said) -> None:
        if said.topic == self.DEPTH:
            changed = json.loads(said.frame)["data"]
            self.book.change(changed["b"], changed["a"])
            self.book.seq = changed["u"]

    def rest(self, path: str) -> bytes | None:
        if "/depth" not in path:
            return super().rest(path)
        bids, asks = self.book.best_first()
        return json.dumps({"lastUpdateId": self.book.seq, "bids": bids, "asks": asks}).encode()


class OkxTape(Tape):
    symbol, tick, lot = "BTCUSDT", "0.1", "0.00000001"
    captured = "OKX.0.gz"

    def asked(self, text: bytes, topics: set[str]) -> tuple[set[str], list[bytes]]:
        if text == b"ping":
            return topics, [b"pong"]
        said = json.loads(text)
        named = {f"{arg['channel']}:{arg['instId']}" for arg in said["args"]}
        topics = topics | named if said["op"] == "subscribe" else topics - named
        return topics, [json.dumps({"event": said["op"], "arg": arg}).encode() for arg in said["args"]]

    def opening(self, topic: str) -> bytes | None:
        if not topic.startswith("books:"):
            return None
        bids, asks = self.book.best_first()
        return okx_book("snapshot", bids, asks, self.book.seq, -1)

    def happened(self, said: Said) -> None:
        if said.topic.startswith("books:"):
            changed = json.loads(said.frame)["data"][0]
            self.book.change(changed["bids"], changed["asks"])
            self.book.seq = changed["seqId"]


class UpbitTape(Tape):
    binary = True
    symbol, tick, lot = "LAMBKRW", "1", "0.00000001"
    captured = "UPBIT.0.gz"
    _last = b""

    def asked(self, text: bytes, topics: set[str]) -> tuple[set[str], list[bytes]]:
        if text == b"PING":
            return topics, [b'{"status":"UP"}']
        parts = json.loads(text)
        return {f"{one['type']}:{code}" for one in parts if "codes" in one for code in one["codes"]}, []

    def opening(self, topic: str) -> bytes | None:
        if not topic.startswith("orderbook:") or not self.book.seq:
            return None
        return self._last

    def happened(self, said: Said) -> None:
        if said.topic.startswith("orderbook:"):
            units = json.loads(said.frame, parse_float=Decimal)["obu"]
            self.book.whole([(one["bp"], one["bs"]) for one in units], [(one["ap"], one["as"]) for one in units])
            self.book.seq += 1
            self._last = said.frame


class GateTape(Tape):
    symbol, tick, lot = "BTCUSDT", "0.01", "0.1"
    captured = "GATEIO.0.gz"
    BOOK = "spot.obu:ob.BTC_USDT.50"

    def asked(self, text: bytes, topics: set[str]) -> tuple[set[str], list[bytes]]:
        said = json.loads(text)
        if said["channel"] == "spot.ping":
            return topics, [b'{"time":1,"channel":"spot.pong","event":"","result":null}']
        named = {f"{said['channel']}:{one}" for one in said["payload"]}
        topics = topics | named if said["event"] == "subscribe" else topics - named
        answer = {"time": 1, "channel": said["channel"], "event": said["event"], "result": {"status": "success"}}
        return topics, [json.dumps(answer).encode()]

    def opening(self, topic: str) -> bytes | None:
        if topic != self.BOOK:
            return None
        bids, asks = self.book.best_first()
        return _gate("spot.obu", {"t": 1, "full": True, "s": topic[9:], "u": self.book.seq, "b": bids, "a": asks})

    def happened(self, said: Said) -> None:
        if said.topic == self.BOOK:
            changed = json.loads(said.frame)["result"]
            self.book.change(changed.get("b", []), changed.get("a", []))
            self.book.seq = changed["u"]


def _gate(channel: str, result: Any) -> bytes:
    said = {"channel": channel, "result": result, "time_ms": 1, "event": "update"}
    return json.dumps(said, separators=(",", ":")).encode()


def okx_book(action: str, bids: Any, asks: Any, seq: int, previous: int) -> bytes:
    book = {
        "asks": [[price, qty, "0", "1"] for price, qty, *_ in asks],
        "bids": [[price, qty, "0", "1"] for price, qty, *_ in bids],
        "ts": str(1_790_000_000_000 + seq),
        "checksum": 0,
        "seqId": seq,
        "prevSeqId": previous,
    }
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return json.dumps({"arg": arg, "action": action, "data": [book]}, separators=(",", ":")).encode()


# Written


class Change(NamedTuple):
    bids: list[list[str]]
    asks: list[list[str]]
    traded: tuple[str, str, bool] | None
    """Price, quantity, whether the taker sold."""


def walk(count: int, seed: int, places: int) -> Iterator[Change]:
    """A book of up to ten levels a side that moves; the first change fills it."""
    random = Random(seed)
    middle = 60_000

    def text(price: int) -> str:
        return f"{Decimal(price).scaleb(-places):f}"

    own = OwnBook()
    for number in range(count):
        bids = {middle - k: random.randrange(1, 900) for k in range(1, 11) if number == 0 or random.random() < 0.3}
        asks = {middle + k: random.randrange(1, 900) for k in range(1, 11) if number == 0 or random.random() < 0.3}
        told = [[[text(price), f"{qty}.5"] for price, qty in side.items()] for side in (bids, asks)]
        own.change(*told)
        move = random.choice((-1, 0, 1)) if number else 0
        middle += move
        for side, gone in ((0, own.bids), (1, own.asks)):
            for price in list(gone):
                ticks = int(price.scaleb(places))
                if (ticks >= middle if side == 0 else ticks <= middle) or abs(ticks - middle) > 12:
                    told[side] = [one for one in told[side] if Decimal(one[0]) != price]
                    told[side].append([text(ticks), "0"])
                    del gone[price]
        yield Change(told[0], told[1], (text(middle), "1.5", bool(number % 2)) if number % 3 == 0 else None)


def binance_written(count: int = 300, seed: int = 1) -> BinanceTape:
    frames = []
    seq = 100
    for number, change in enumerate(walk(count, seed, 2)):
        first, seq = seq + 1, seq + 1 + number % 4
        at = 1_790_000_000_000 + 100 * number
        depth = {"e": "depthUpdate", "E": at, "s": "BTCUSDT", "U": first, "u": seq, "b": change.bids, "a": change.asks}
        frames.append(Said(BinanceTape.DEPTH, _combined(BinanceTape.DEPTH, depth)))
        if change.traded:
            price, qty, sold = change.traded
            trade = {"e": "trade", "E": at, "s": "BTCUSDT", "t": number, "p": price, "q": qty, "T": at, "m": sold}
            frames.append(Said("btcusdt@trade", _combined("btcusdt@trade", trade)))
    tape = BinanceTape(frames[1:])
    tape.happened(frames[0])
    return tape


def _combined(stream: str, event: Any) -> bytes:
    return json.dumps({"stream": stream, "data": event}, separators=(",", ":")).encode()


def okx_written(count: int = 300, seed: int = 2) -> OkxTape:
    frames = []
    seq = 100
    for number, change in enumerate(walk(count, seed, 1)):
        previous, seq = seq, seq + 1 + number % 7
        frames.append(Said("books:BTC-USDT", okx_book("update", change.bids, change.asks, seq, previous)))
        if change.traded:
            frames.append(_okx_trade(number, *change.traded))
        if number % 11 == 0:  # nothing happened
            frames.append(Said("books:BTC-USDT", okx_book("update", [], [], seq, seq)))
    tape = OkxTape(frames[1:])
    tape.happened(frames[0])
    return tape


def _okx_trade(number: int, price: str, qty: str, sold: bool) -> Said:
    trade = {
        "instId": "BTC-USDT", "tradeId": str(number), "px": price, "sz": qty,
        "side": "sell" if sold else "buy", "ts": str(1_790_000_000_000 + number),
    }  # fmt: skip
    arg = {"channel": "trades", "instId": "BTC-USDT"}
    return Said("trades:BTC-USDT", json.dumps({"arg": arg, "data": [trade]}, separators=(",", ":")).encode())


def gate_written(count: int = 300, seed: int = 4) -> GateTape:
    frames = []
    seq = 100
    for number, change in enumerate(walk(count, seed, 2)):
        first, seq = seq + 1, seq + 1 + number % 3
        book = {"t": 1, "s": GateTape.BOOK[9:], "U": first, "u": seq, "b": change.bids, "a": change.asks}
        frames.append(Said(GateTape.BOOK, _gate("spot.obu", book)))
        if change.traded:
            price, qty, sold = change.traded
            trade = {
                "id": number, "create_time": 1, "create_time_ms": "1619093543708.26", "side": "sell" if sold else "buy",
                "currency_pair": "BTC_USDT", "amount": qty, "price": price,
            }  # fmt: skip
            frames.append(Said("spot.trades:BTC_USDT", _gate("spot.trades", trade)))
    tape = GateTape(frames[1:])
    tape.happened(frames[0])
    return tape


def upbit_written(count: int = 200, seed: int = 3) -> UpbitTape:
    frames = []
    own = OwnBook()
    for number, change in enumerate(walk(count, seed, 0)):
        own.change(change.bids, change.asks)
        bids, asks = own.best_first()
        bids, asks = bids[:5], asks[:5]
        bids, asks = ([*side, *[["0", "0"]] * (5 - len(side))] for side in (bids, asks))
        units = [
            f'{{"ap":{ask[0]}.0,"bp":{bid[0]}.0,"as":{ask[1]},"bs":{bid[1]}}}'
            for bid, ask in zip(bids, asks, strict=True)
        ]
        at = 1_790_000_000_000 + 100 * number
        text = f'{{"ty":"orderbook","cd":"KRW-LAMB","tms":{at},"obu":[{",".join(units)}],"st":"REALTIME"}}'
        frames.append(Said("orderbook:KRW-LAMB", text.encode()))
        if change.traded:
            price, qty, sold = change.traded
            text = (
                f'{{"ty":"trade","cd":"KRW-LAMB","tms":{at},"ttms":{at},"tp":{price}.0,"tv":{qty},'
                f'"ab":"{"ASK" if sold else "BID"}","sid":{at},"st":"REALTIME"}}'
            )
            frames.append(Said("trade:KRW-LAMB", text.encode()))
    tape = UpbitTape(frames[1:])
    tape.happened(frames[0])
    return tape


# Recorded


def recording(name: str) -> Path:
    """`../shared/data/name` of the repository, or of a directory above it (work trees)."""
    for parent in ROOT.parents:
        path = parent / "shared/data" / name
        if path.exists():
            return path
    pytest.skip(f"../shared/data/{name} is not here")


def binance_recorded(most: int = 900) -> BinanceTape:
    """Begins with the recorded answer to the REST request, and what had been heard beyond it before it came."""
    heard: list[Said] = []
    tape = BinanceTape([])
    with gzip.open(recording("hftbacktest/spot_btcusdt_20240808.gz")) as lines:
        for line in lines:
            frame = line.split(b" ", 1)[1].rstrip(b"\n")
            said = json.loads(frame)
            if "stream" in said:
                heard.append(Said(said["stream"], frame))
            else:
                tape.book.whole(said["bids"], said["asks"])
                tape.book.seq = said["lastUpdateId"]
                for one in heard:
                    if one.topic == BinanceTape.DEPTH and json.loads(one.frame)["data"]["u"] > tape.book.seq:
                        tape.happened(one)
                heard.clear()
            if tape.book.seq and len(heard) == most:
                break
    tape.frames = heard
    return tape


def captured(name: str) -> Iterator[bytes]:
    with gzip.open(recording(f"cryptofeed_v2/{name}"), "rt") as lines:
        for line in lines:
            when, _, frame = line.rstrip("\n").partition(": ")
            if when.replace(".", "").isdecimal() and frame:
                yield ast.literal_eval(frame) if frame.startswith("b'") else frame.encode()


@cache
def answers(name: str) -> dict[str, bytes]:
    """Bodies by path, the first where a path was asked several times."""
    found: dict[str, bytes] = {}
    with gzip.open(recording(f"cryptofeed_v2/{name}"), "rt") as lines:
        for line in lines:
            url, arrow, rest = line.rstrip("\n").partition(" -> ")
            if arrow:
                found.setdefault(urlsplit(url).path, rest.partition(": ")[2].encode())
    return found


def okx_recorded() -> OkxTape:
    """Captured before the venue numbered its books: numbered here, checksums left out as it does today."""
    tape = OkxTape([])
    tape.book.seq = 1000
    for frame in captured("OKX.ws.1.0.gz"):
        said = json.loads(frame)
        arg = said.get("arg", {})
        if arg.get("instId") != "BTC-USDT" or "data" not in said:
            continue
        book = said["data"][0]
        if said.get("action") == "snapshot":
            tape.book.whole(book["bids"], book["asks"])
        elif said.get("action") == "update":
            seq = 1000 + 3 * len(tape.frames) + 3
            previous = max((json.loads(one.frame)["data"][0].get("seqId", 0) for one in tape.frames), default=0)
            update = okx_book("update", book["bids"], book["asks"], seq, max(1000, previous))
            tape.frames.append(Said("books:BTC-USDT", update))
        elif arg["channel"] == "trades":
            tape.frames.append(Said("trades:BTC-USDT", frame))
    return tape


def upbit_recorded() -> UpbitTape:
    frames = []
    for frame in captured("UPBIT.ws.62.0.gz"):
        said = json.loads(frame)
        if said["cd"] == "KRW-LAMB":
            frames.append(Said(f"{said['ty']}:KRW-LAMB", frame))
    first = next(one for one in frames if one.topic.startswith("orderbook"))
    tape = UpbitTape(frames)
    tape.happened(first)
    return tape


TAPES: Final[dict[str, Callable[[], Tape]]] = {
    "binance": binance_written,
    "binance recorded": binance_recorded,
    "okx": okx_written,
    "okx recorded": okx_recorded,
    "gate": gate_written,
    "upbit": upbit_written,
    "upbit recorded": upbit_recorded,
}
