"""Market time in a replay: what the projector publishes, how it is told and controlled over HTTP."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from redis.exceptions import ConnectionError as RedisAway

from actors.config import Settings
from actors.live_market import LiveMarket
from actors.market_now import MarketNow
from actors.market_publisher import MarketPublisher
from actors.metrics import ProjectorMetrics
from actors.redis_batch import RedisBatch
from actors.stream_demand import channel_of
from actors.wire import Batch
from deploy.instruments import Prepared
from deploy.promises import market_time
from market.enums import EventKind
from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS
from market.listing import Listing
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, EVENT
from market.spans import instant_ns, span_ns
from market.universe import instruments
from serve.api.system import endpoints, feed_status
from serve.auth.principal import Principal, Role
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import build_app
from serve.market_time import arguments, seen, told
from serve.predictions import Predictions
from serve.system_schema import TimeAction, TimeControl
from tests.unit.asgi import call

SYMBOLS = instruments(2)
NAME = SYMBOLS[0].symbol
START_NS = 1_700_000_000 * SECOND_NS // MINUTE_NS * MINUTE_NS
"""Years before the wall's time."""
REPLAY = Settings(
    data_dir="/", run_dir="/", pg_dsn="postgresql:///none?host=/nonexistent", redis_url="redis://127.0.0.1:1",
    symbols=2, feed="replay:a.rpr", market_time="replay",
)  # fmt: skip
WALL = msgspec.structs.replace(REPLAY, feed="none", market_time="wall")


class Published:
    """A publisher over a fabricated stream of batches; what it sends, by stream."""

    def __init__(self) -> None:
        self.market = LiveMarket(SYMBOLS, MarketNow.of(REPLAY))
        self.publisher = MarketPublisher(REPLAY, self.market, ProjectorMetrics("test"), lambda: None)
        self.publisher.open = True
        self._trades = 0

    def listen(self, *names: str) -> None:
        self.publisher.streams.demand.update([channel_of("x", "ms", name) for name in names])

    def trade(self, *at: int, ts_ns: int | None = None, outside: bool = True) -> None:
        """One batch: trades at these nanoseconds after the start."""
        commands, events = np.zeros(len(at), COMMAND), np.zeros(len(at), EVENT)
        commands["account"] = OUTSIDE_ACCOUNT if outside else 7
        commands["target_id"] = [START_NS + one for one in at]
        ids = np.arange(len(at)) + self._trades + 1
        events["kind"], events["price_ticks"], events["qty_lots"] = EventKind.TRADE, 100 + ids, 5
        events["trade_id"] = events["order_id"] = ids
        events["command_index"] = np.arange(len(at))
        self._trades += len(at)
        batch = Batch(0, 1, 1, START_NS + at[-1] if ts_ns is None else START_NS + ts_ns, commands, events)
        self.market.now_ns.saw(batch.ts_ns)
        self.publisher.note({0}, [], self.market.follow_tape([batch]))

    async def seconds(self, wall_s: float) -> None:
        await self.publisher._replayed(wall_s)

    def told(self) -> dict[str, list[Any]]:
        streams = self.publisher.streams
        taken, streams._out = streams._out, {}
        return {name.partition(":ms:")[2]: [msgspec.json.decode(one) for one in rows] for name, rows in taken.items()}


async def test_events_of_a_batch_have_their_own_times_and_windows_end_at_the_newest() -> None:
    world = Published()
    kline, trades, ticker = (f"{NAME.lower()}@{one}" for one in ("kline_1s", "trade", "ticker"))
    world.listen(kline, trades, ticker)
    world.trade(0, SECOND_NS // 2, 3 * SECOND_NS)
    await world.seconds(1.0)
    found = world.told()
    start_ms = START_NS // 1_000_000
    assert [one["T"] - start_ms for one in found[trades]] == [0, 500, 3000]
    (day,) = found[ticker]
    assert (day["E"] - start_ms, day["C"] - start_ms, day["n"]) == (3000, 3000, 3)
    assert day["O"] == (START_NS + 3 * SECOND_NS - DAY_NS) // 1_000_000
    assert [(one["k"]["t"] - start_ms, one["k"]["x"], one["k"]["n"]) for one in found[kline]] == [(3000, False, 1)]


async def test_seconds_that_pass_at_once_are_told_at_once_and_no_candle_is_missing() -> None:
    world = Published()
    kline = f"{NAME.lower()}@kline_1s"
    world.listen(kline)
    world.trade(0)
    await world.seconds(1.0)
    world.told()
    world.trade(*(k * SECOND_NS for k in range(1, 200) if k % 3 == 0))
    await world.seconds(1.1)
    rows = [one["k"] for one in world.told()[kline]]
    opens = [(one["t"] - START_NS // 1_000_000) // 1000 for one in rows]
    assert opens == list(range(199))
    assert [one["n"] for one in rows] == [int(k % 3 == 0) for k in range(199)]
    assert [one["x"] for one in rows] == [True] * 198 + [False]


async def test_no_second_passes_while_the_market_stands_but_new_listeners_are_told() -> None:
    world = Published()
    ticker = f"{NAME.lower()}@miniTicker"
    world.trade(0)
    await world.seconds(1.0)
    world.listen(ticker)
    await world.seconds(1.5)
    assert world.told() == {}
    await world.seconds(2.1)
    assert [one["E"] for one in world.told()[ticker]] == [START_NS // 1_000_000]


async def test_a_trade_heard_before_the_last_batch_was_committed_does_not_go_back_in_time() -> None:
    world = Published()
    world.trade(SECOND_NS, outside=False)
    world.trade(SECOND_NS - 5, ts_ns=SECOND_NS + 7)
    rows = world.market.recent[0].seconds.rows
    assert (rows["open_ns"] - START_NS).tolist() == [SECOND_NS]
    assert rows["trades"].tolist() == [2]


async def test_native_messages_and_the_told_time_are_the_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Published()
    world.trade(7)
    sent: list[Any] = []

    class Noted(RedisBatch):
        def add(self, *words: str | bytes | int) -> None:
            sent.append(words)

    monkeypatch.setattr(world.publisher.bus, "_batch", Noted(world.publisher.bus._redis))
    await world.publisher._tell_natively()
    times = [
        msgspec.json.decode(one[2])["ts_ns"]
        for one in sent
        if one[0] == "PUBLISH" and one[1].rpartition(":")[0].endswith((":ticker", ":depth"))
    ]
    assert times == [START_NS + 7] * 4
    assert ("SET", f"{REPLAY.prefix}:market_time", START_NS + 7) in sent


async def test_a_gateway_learns_the_time_and_keeps_it_while_the_cache_is_away() -> None:
    gateway = Gateway(REPLAY)
    assert gateway.now_ns() == 0
    answers: list[Any] = [None, b"17", RedisAway(), b"19"]

    class Cache:
        async def get(self, _: str) -> bytes | None:
            if not answers:
                raise StopTime
            one = answers.pop(0)
            if isinstance(one, Exception):
                raise one
            return one  # type: ignore[no-any-return]

    gateway.redis = Cache()  # type: ignore[assignment]
    with pytest.raises(StopTime):
        await gateway._follow_time()
    assert gateway.now_ns() == 19
    assert Gateway(WALL).now_ns() > START_NS


class StopTime(Exception):
    pass


# -- control ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "args"),
    [
        (TimeControl(action=TimeAction.PAUSE), ("pause", None, None, None)),
        (TimeControl(action=TimeAction.STEP), ("step", None, None, None)),
        (TimeControl(action=TimeAction.STEP, span="1.5s"), ("step", None, None, 1_500_000_000)),
        (TimeControl(action=TimeAction.STEP, span=20), ("step", None, None, 20_000_000)),
        (TimeControl(action=TimeAction.SPEED, speed=10.0), ("speed", None, 10.0, None)),
        (TimeControl(action=TimeAction.SPEED, speed="max"), ("speed", None, math.inf, None)),
        (TimeControl(action=TimeAction.JUMP, at=1_700_000_000_123), ("jump", 1_700_000_000_123_000_000, None, None)),
        (TimeControl(action=TimeAction.RUN_UNTIL, at="2026-11-01T09:00:00Z"),
         ("run_until", 1_793_523_600_000_000_000, None, None)),
        (TimeControl(action=TimeAction.LOOP, loop=False), ("loop_off", None, None, None)),
    ],
)  # fmt: skip
def test_what_the_feed_is_asked(asked: TimeControl, args: tuple[Any, ...]) -> None:
    assert arguments(asked) == args


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (TimeControl(action=TimeAction.JUMP), "at"),
        (TimeControl(action=TimeAction.JUMP, at="yesterday"), "at"),
        (TimeControl(action=TimeAction.RUN_UNTIL, at=-1), "at"),
        (TimeControl(action=TimeAction.STEP, span="1 fortnight"), "span"),
        (TimeControl(action=TimeAction.STEP, span=0), "span"),
        (TimeControl(action=TimeAction.SPEED), "speed"),
        (TimeControl(action=TimeAction.SPEED, speed=0.0), "speed"),
        (TimeControl(action=TimeAction.SPEED, speed=10_001.0), "speed"),
        (TimeControl(action=TimeAction.SPEED, speed=math.nan), "speed"),
        (TimeControl(action=TimeAction.SPEED, speed="fast"), "speed"),
        (TimeControl(action=TimeAction.LOOP), "loop"),
        (TimeControl(action=TimeAction.PAUSE, speed=1.0), "speed"),
    ],
)
def test_bad_input_names_the_field(asked: TimeControl, field: str) -> None:
    with pytest.raises(ApiError) as refused:
        arguments(asked)
    assert (refused.value.code, refused.value.field) == (Code.VALIDATION, field)


def test_spans_and_instants_as_people_write_them() -> None:
    assert [span_ns(one) for one in ("250ms", "1 s", "5m", "1.5h", "1d", "1ns")] == [
        250_000_000, SECOND_NS, 5 * MINUTE_NS, 90 * MINUTE_NS, DAY_NS, 1,
    ]  # fmt: skip
    at = 1_793_523_600_250_000_000
    for text in ("2026-11-01T09:00:00.25Z", "2026-11-01 09:00:00.250", "2026-11-01T10:00:00.25+01:00", "1793523600250"):
        assert instant_ns(text) == at
    assert told(at) == "2026-11-01T09:00:00.250Z"
    for bad in ("", "9" * 30, "1969-12-31", "2026-13-01", "1e9"):
        with pytest.raises(ValueError, match="no time"):
            instant_ns(bad)


def test_a_replay_as_it_is_told() -> None:
    at = {
        "mode": "replay",
        "market_ns": START_NS + SECOND_NS,
        "first_ns": START_NS,
        "last_ns": START_NS + 4 * SECOND_NS,
    }
    one = seen({**at, "speed": "max", "paused": True, "ended": False, "loop": True, "until_ns": None})
    assert (one.mode, one.state, one.speed, one.position, one.loop) == ("replay", "paused", "max", 0.25, True)
    assert (one.from_time, one.market_time) == (told(START_NS), told(START_NS + SECOND_NS))
    assert seen({**at, "until_ns": START_NS + 2 * SECOND_NS, "paused": True}).state == "running"
    assert seen({**at, "ended": True}).state == "ended"
    assert seen({"mode": "replay", "unknown": True}).state == "unknown"
    assert seen({"mode": "replay", "market_ns": 0, "first_ns": 0}).market_time is None


def test_facts_that_a_feed_does_not_tell_are_left_out() -> None:
    whole = {
        "venue": "binance", "connected": True, "symbols": 3, "live": 2, "stale": 1, "messages_per_s": 12.5,
        "quality": {"completeness": 99.0, "overall": 98.5}, "worst": [{"symbol": "BTCUSDC", "overall": 80.0}], "new": 1,
    }  # fmt: skip
    feed = feed_status("venues", {"venues": [whole, {"venue": "okx"}, {"venue": "upbit", "symbols": "many"}, 7]})
    assert [one.venue for one in feed.venues] == ["binance", "okx", "upbit", "None"]
    first = feed.venues[0]
    assert first.quality is not None
    assert (first.quality.completeness, first.quality.accuracy, first.worst[0].symbol) == (99.0, None, "BTCUSDC")
    assert feed_status("simulated", {}).venues == []


class Everybody:
    """Tokens are roles."""

    async def authenticate(self, token: str) -> Principal:
        return Principal(1, "someone", Role(token), 1)


class Cache:
    async def mget(self, keys: list[str]) -> list[bytes | None]:
        return [None] * len(keys)


def app_over(settings: Settings) -> Any:
    gateway = Gateway(settings)
    gateway.redis = Cache()  # type: ignore[assignment]
    return build_app(endpoints(gateway, Predictions(gateway)), authenticator=Everybody())


async def test_where_market_time_is_the_walls_it_is_told_but_not_controlled() -> None:
    app = app_over(WALL)
    now = (await call(app, "GET", "/api/market/time")).json()
    assert (now["mode"], now["state"], now["speed"], now["from"]) == ("wall", "running", 1.0, None)
    assert now["market_time"] == now["wall_time"]
    refused = await call(app, "POST", "/api/admin/time", json={"action": "pause"}, token="admin")
    assert (refused.status, refused.code) == (409, "MARKET_TIME_IS_WALL")
    state = (await call(app, "GET", "/api/v1/system/status")).json()
    assert (state["status"], state["feed"]["kind"], state["market_time"]["mode"]) == ("ok", "none", "wall")


async def test_a_recording_that_is_not_played_keeps_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--feed none` on a replay's data folder time stands where the books do."""
    monkeypatch.setattr("serve.market_time.ask", lambda name, *_: {"book-0": {"ts_ns": START_NS}}[name])
    app = app_over(msgspec.structs.replace(REPLAY, feed="none"))
    now = (await call(app, "GET", "/api/market/time")).json()
    assert (now["mode"], now["state"], now["market_time"]) == ("replay", "paused", told(START_NS))
    refused = await call(app, "POST", "/api/admin/time", json={"action": "resume"}, token="admin")
    assert (refused.status, refused.code) == (409, "MARKET_TIME_IS_WALL")
    assert "--feed replay:FILE" in refused.json()["detail"]


@pytest.mark.parametrize(("kind", "master"), [("replay", "replay"), ("venues", "wall"), (None, "wall")])
def test_the_market_of_a_data_folder_says_who_tells_time(kind: Any, master: str) -> None:
    made = None if kind is None else Listing(kind=kind, reference="USDT", listed=())
    assert market_time(Prepared(made)) == master


async def test_only_administrators_control_time() -> None:
    app = app_over(REPLAY)
    assert (await call(app, "POST", "/api/admin/time", json={"action": "pause"})).status == 401
    assert (await call(app, "POST", "/api/admin/time", json={"action": "pause"}, token="user")).status == 403


async def test_a_replay_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed is the other side of a Ray call: its answers are what `ReplayMarket` gives."""
    now = {"mode": "replay", "market_ns": START_NS, "first_ns": START_NS, "last_ns": START_NS + SECOND_NS, "speed": 2.0}
    asked: list[Any] = []

    def ask(name: str, method: str, timeout: float, *args: Any) -> Any:
        asked.append((name, method, *args))
        return {**now, "reached": False, "until_ns": START_NS + 9} if args[:1] == ("jump",) else now

    monkeypatch.setattr("serve.market_time.ask", ask)
    app = app_over(REPLAY)
    answer = await call(app, "POST", "/api/admin/time", json={"action": "speed", "speed": 2.5}, token="admin")
    assert (answer.status, asked[-1]) == (200, ("feed", "time_control", "speed", None, 2.5, None))
    answer = await call(app, "POST", "/api/admin/time", json={"action": "jump", "at": told(START_NS)}, token="admin")
    assert (answer.status, asked[-1]) == (202, ("feed", "time_control", "jump", START_NS, None, None))
    assert answer.json()["until"] == told(START_NS)
    answer = await call(app, "POST", "/api/admin/time", json={"action": "speed", "speed": 0.001}, token="admin")
    assert (answer.status, answer.json()["field"]) == (422, "speed")
    answer = await call(app, "POST", "/api/admin/time", json={"action": "rewind"}, token="admin")
    assert (answer.status, answer.json()["field"]) == (422, "action")
