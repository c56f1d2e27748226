"""Latency of accounts: what waits, for how long, in which order; and two accounts of one market side by side."""

import asyncio
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from actors import delays
from actors.account_actor import AccountService
from actors.account_ops import Op
from actors.config import Settings
from actors.delays import Delays
from actors.market_now import MarketNow
from actors.wire import Batch, Hello, Kind, encoder
from market.book import Book
from market.enums import CommandKind, ExecType, OrdType, Side, TimeInForce
from market.profile import TIERS, Constant, Empirical, Latency, Path, TradingProfile, delay_ns
from market.reasons import Reason
from market.records import COMMAND, REPORT, Records
from market.universe import instruments
from serve.sockets.late import LateData

MS: Final = 1_000_000
START: Final = 1_780_000_000_000_000_000
LATE, QUICK = 40, 41
PAIR: Final = instruments(1)[0]


def document(**fields: Any) -> bytes:
    return msgspec.json.encode(TradingProfile(**fields))


class Link:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []

    def send(self, kind: int, body: bytes) -> None:
        self.frames.append((kind, bytes(body)))

    @property
    def reports(self) -> Records:
        told = [body for kind, body in self.frames if kind == Kind.REPORTS]
        return np.frombuffer(b"".join(told), REPORT)


class Waits:
    """A replay's clock, set by hand."""

    def __init__(self, **fields: Any) -> None:
        self.clock = MarketNow(replay=True)
        self.clock.saw(START)
        self.link: Any = Link()
        self.arrived: list[int] = []
        self.told: list[tuple[int, int]] = []
        self.delays = Delays(self.clock, self._arrive, self._deliver)
        self.delays.saw([Op("profile", LATE, profile=document(**fields))])

    def _arrive(self, link: Any, frame: bytes) -> None:
        assert link is self.link
        self.arrived += np.frombuffer(frame, COMMAND)["token"].tolist()

    def _deliver(self, link: Any, reports: Records) -> None:
        self.told += zip(reports["account"].tolist(), reports["seq"].tolist(), strict=True)

    def send(self, *sent: tuple[int, int, CommandKind]) -> tuple[list[int], list[int]]:
        """Of (account, token, kind): the tokens that go on at once and those refused."""
        rows = np.zeros(len(sent), COMMAND)
        for name, values in zip(("account", "token", "kind"), zip(*sent, strict=True), strict=True):
            rows[name] = values
        body, refused = self.delays.take(self.link, rows.tobytes())
        return np.frombuffer(body, COMMAND)["token"].tolist(), refused["token"].tolist()

    def tell(self, account: int, *seqs: int) -> list[int]:
        rows = np.zeros(len(seqs), REPORT)
        rows["account"], rows["seq"] = account, seqs
        self.told += [(account, seq) for seq in self.delays.hold(None, rows)["seq"].tolist()]
        return [seq for _, seq in self.told]

    def at(self, ms: float) -> None:
        self.clock.saw(START + round(ms * MS))
        self.delays.moved()


NEW, CANCEL = CommandKind.NEW, CommandKind.CANCEL


def test_only_the_accounts_own_commands_wait_and_a_quick_cancel_overtakes() -> None:
    waits = Waits(order_latency=Constant(20), cancel_latency=Constant(5))
    assert waits.send((QUICK, 1, NEW), (LATE, 2, NEW), (QUICK, 3, CANCEL), (LATE, 4, CANCEL)) == ([1, 3], [])
    waits.at(4.9)
    assert waits.arrived == []
    waits.at(5)
    assert waits.arrived == [4]
    waits.at(19.9)
    assert waits.arrived == [4]
    waits.at(100)
    assert waits.arrived == [4, 2]
    assert not waits.delays.waits


def test_the_nth_order_waits_its_nth_draw_however_orders_share_frames() -> None:
    latency = Empirical((1, 3, 7, 15), seed=5)
    for frames in ([(1, 2, 3, 4)], [(1,), (2, 3), (4,)]):
        waits = Waits(order_latency=latency)
        for tokens in frames:
            waits.send(*((LATE, token, NEW) for token in tokens))
        expected = sorted((delay_ns(latency, LATE, Path.ORDER, n), n + 1) for n in range(4))
        waits.at(20)
        assert waits.arrived == [token for _, token in expected]


def test_too_many_are_refused_and_places_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delays, "ACCOUNT_LIMIT", 2)
    waits = Waits(order_latency=Constant(1))
    assert waits.send(*((LATE, token, NEW) for token in (1, 2, 3))) == ([], [3])
    waits.at(1)
    assert waits.send((LATE, 4, NEW)) == ([], [])
    assert waits.delays.take_list(np.zeros(2, COMMAND), lambda: None) is False, "of an account that is not late"
    rows = np.zeros(2, COMMAND)
    rows["account"] = LATE
    assert waits.delays.take_list(rows, lambda: None) is None


def test_a_market_that_stands_still_lets_nothing_through() -> None:
    waits = Waits(order_latency=Constant(1))
    waits.send((LATE, 1, NEW))
    for _ in range(3):
        waits.delays.moved()
    assert waits.arrived == []
    assert waits.delays._timer is None, "time is the market's"


def test_reports_wait_in_their_order_and_a_stream_resumes_from_what_was_told() -> None:
    latency = Empirical((2, 30), seed=3)
    waits = Waits(ack_latency=latency)
    drawn = [delay_ns(latency, LATE, Path.ACK, n) // MS for n in range(12)]
    for seq in range(1, 13):
        waits.tell(LATE, seq)
        waits.tell(QUICK, 100 + seq)
    assert [account for account, _ in waits.told] == [QUICK] * 12
    assert {2, 30} == set(drawn)
    assert waits.delays.told_seq(LATE, 12) == 0
    assert waits.delays.told_seq(QUICK, 112) == 112
    early = drawn.index(30)
    waits.at(2)
    assert [seq for account, seq in waits.told if account == LATE] == list(range(1, early + 1))
    assert waits.delays.told_seq(LATE, 12) == early
    waits.delays.saw([Op("profile", LATE, profile=document())])
    waits.tell(LATE, 13)
    waits.at(30)
    assert [seq for account, seq in waits.told if account == LATE] == list(range(1, 14)), "nothing overtakes"
    assert not waits.delays.waits
    assert waits.tell(LATE, 14)[-1] == 14


async def test_on_the_walls_time_a_timer_wakes_them() -> None:
    came = asyncio.Event()
    one = Delays(MarketNow(), lambda link, frame: came.set(), lambda link, reports: None)
    one.saw([Op("profile", LATE, profile=document(order_latency=Constant(15)))])
    rows = np.zeros(1, COMMAND)
    rows["account"] = LATE
    began = asyncio.get_running_loop().time()
    one.take(Link(), rows.tobytes())  # type: ignore[arg-type]
    await asyncio.wait_for(came.wait(), 5)
    assert asyncio.get_running_loop().time() - began >= 0.0149


async def test_market_data_comes_later_in_its_order() -> None:
    clock, told = MarketNow(replay=True), []
    clock.saw(START)
    latency = Empirical((2, 30), seed=3)
    late = LateData(clock, latency, LATE, lambda key, message: told.append(message))
    drawn = [delay_ns(latency, LATE, Path.DATA, n) // MS for n in range(8)]
    for n in range(8):
        assert late.put(("trades", "BTCUSDT"), str(n))
    late.look()
    assert told == []
    clock.saw(START + 2 * MS)
    late.look()
    early = drawn.index(30)
    assert told == [str(n) for n in range(early)]
    clock.saw(START + 30 * MS)
    late.look()
    assert told == [str(n) for n in range(8)]
    late.close()


# -- one market ---------------------------------------------------------------------------------------------------


class Market:
    """An account actor's service and a book, without journal and sockets; time is that of the batches."""

    def __init__(self) -> None:
        settings = Settings(
            data_dir="/nowhere", run_dir="/nowhere", pg_dsn="", redis_url="", symbols=1, market_time="replay"
        )
        self.service = AccountService(settings, 0)
        self.service._recovering = False
        self.service.now_ns.saw(START)
        self.book = Book(PAIR, 0)
        self.link: Any = Link()
        self.service._on_frame(self.link, Kind.HELLO, encoder.encode(Hello("gateway", "test")))
        self.seq = 0
        self.tokens = 0
        self.ts_ns = START

    def own(self, *ops: Op) -> None:
        for debits in (True, False):
            self.service._apply(list(ops), self.ts_ns, debits)

    def open(self, account: int, **profile: Any) -> None:
        money = [Op("post", account, k, 10**15) for k in range(2)]
        self.own(Op("open", account, maker_fee_ppm=1000, taker_fee_ppm=1000), *money)
        if profile:
            self.own(Op("profile", account, profile=document(**profile)))

    async def order(self, account: int, side: Side, price: int) -> int:
        row = np.zeros(1, COMMAND)
        self.tokens += 1
        row["token"], row["account"], row["side"], row["price_ticks"] = self.tokens, account, side, price
        row["qty_lots"], row["ord_type"], row["time_in_force"] = 1000, OrdType.LIMIT, TimeInForce.GTC
        row["client_order_id"] = b"order-%d" % self.tokens
        self.service._on_frame(self.link, Kind.COMMANDS, row.tobytes())
        await self.at(self.ts_ns)
        return self.tokens

    async def at(self, ts_ns: int) -> None:
        """Batches of the book at that time, until nothing more comes of it."""
        self.ts_ns = ts_ns
        self._batch(np.zeros(0, COMMAND))
        await asyncio.sleep(0)
        while self.service.sent.to(0):
            self._batch(np.concatenate(list(self.service.sent.to(0))))
            await asyncio.sleep(0)

    def _batch(self, commands: Records) -> None:
        self.seq += 1
        self.service._on_batch(Batch(0, 1, self.seq, self.ts_ns, commands, self.book.apply(commands)))

    def told(self, account: int) -> Records:
        reports = self.link.reports
        own: Records = reports[reports["account"] == account]
        return own


def profile_of(latency: Latency, tier: str) -> dict[str, Any]:
    return {"fees": TIERS[tier], "order_latency": latency}


async def test_two_accounts_of_one_market_have_their_own_fees_and_latency() -> None:
    market, price = Market(), PAIR.start_price_ticks
    late, quick, maker = (market.service.settings.account_of(k) for k in (1, 2, 3))
    market.open(late, **profile_of(Constant(25), "vip3"))
    market.open(quick)
    market.open(maker, ack_latency=Constant(10))
    for _ in range(2):
        await market.order(maker, Side.SELL, price)
    assert len(market.told(maker)) == 0, "its answers are on their way"
    sent_at = market.ts_ns
    await market.order(late, Side.BUY, price)
    await market.order(quick, Side.BUY, price)
    (trade,) = (row for row in market.told(quick) if row["exec_type"] == ExecType.TRADE)
    assert trade["commission_units"] > 0
    assert len(market.told(late)) == 0
    await market.at(sent_at + 24 * MS)
    assert len(market.told(maker)) >= 2
    assert len(market.told(late)) == 0
    await market.at(sent_at + 26 * MS)
    (late_trade,) = (row for row in market.told(late) if row["exec_type"] == ExecType.TRADE)
    assert late_trade["ts_ns"] - trade["ts_ns"] == 26 * MS, "the batch after it was due"
    assert (late_trade["last_price_ticks"], late_trade["last_qty_lots"]) == (
        trade["last_price_ticks"],
        trade["last_qty_lots"],
    )
    assert late_trade["commission_units"] / trade["commission_units"] == pytest.approx(0.6, rel=1e-3)
    assert market.service.delays.applied_ns(int(late_trade["order_id"])) == 25 * MS
    assert market.service.delays.applied_ns(int(trade["order_id"])) is None


async def test_profiles_outlive_the_process_by_the_snapshot() -> None:
    market = Market()
    late = market.service.settings.account_of(1)
    market.open(late, order_latency=Constant(25))
    again = Market()
    again.service._restore(market.service._copy()[2])
    assert again.service.delays.documents == market.service.delays.documents
    await again.order(late, Side.BUY, PAIR.start_price_ticks)
    assert again.service.delays.waits


async def test_what_is_too_much_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delays, "ACCOUNT_LIMIT", 1)
    market = Market()
    late = market.service.settings.account_of(1)
    market.open(late, order_latency=Constant(25))
    for _ in range(2):
        await market.order(late, Side.BUY, PAIR.start_price_ticks)
    (refusal,) = market.told(late)
    assert (refusal["reason"], refusal["token"]) == (Reason.OVERLOADED, 2)
