"""The simulated market, trading with itself and with a user on real books."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from market.agents import MAX_STEP_S, SimulatedMarket
from market.book import Book
from market.enums import CommandKind, EventKind, ExecType, OrdType, Side
from market.instrument import Instrument
from market.price_process import YEAR_S, FairPrices
from market.reasons import Reason
from market.records import COMMAND, REPORT
from market.universe import instruments
from tests.reference.toy_exchange import Depth, ToyExchange

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
USER = 7
ACCOUNTS = [1_000 + 3 * i for i in range(len(SimulatedMarket.ACCOUNTS))]
MAX_LIVE_ORDERS = 150
WARM_UP_S = 20

Records = npt.NDArray[np.void]


@dataclass
class Session:
    """A toy exchange with its clock, and what was seen so far."""

    listed: list[Instrument]
    rate: float
    seed: int = 1
    last_prices: dict[int, int] | None = None
    ts_ns: int = START_NS
    live: int = 0
    two_sided: list[bool] = field(default_factory=list)
    spreads_bp: list[float] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    commands: int = 0
    taking: int = 0
    refusals: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        market = SimulatedMarket(self.listed, ACCOUNTS, self.rate, self.seed, self.last_prices)
        self.exchange = ToyExchange(self.listed, market, small_book)

    def run(self, seconds: float, step_ns: int = STEP_NS) -> "Session":
        for _ in range(round(seconds * 1e9 / step_ns)):
            self.ts_ns += step_ns
            self.exchange.step(self.ts_ns)
            self._look()
        return self

    def _look(self) -> None:
        self.commands += len(self.exchange.commands)
        for events in self.exchange.events:
            traded = events["kind"] == EventKind.TRADE
            self.taking += len(np.unique(events["command_index"][traded]))
            refused = events[events["kind"] == EventKind.REJECTED]
            self.refusals.update(zip(refused["command_kind"].tolist(), refused["reason"].tolist(), strict=True))
        for depth in self.depths:
            bid, ask = depth.best_bid, depth.best_ask
            self.live = max(self.live, len(depth.orders))
            if self.ts_ns - START_NS > WARM_UP_S * 1e9:
                self.two_sided.append(bid is not None and ask is not None)
                self.levels.append(min(map(len, depth.levels)))
                if bid and ask:
                    self.spreads_bp.append(2e4 * (ask - bid) / (ask + bid))

    @property
    def depths(self) -> list[Depth]:
        return self.exchange.depths

    def user(self, side: Side, lots: int, price: int = 0) -> Records:
        """A MARKET order (LIMIT with a price) of a user in symbol 0; its events."""
        order = np.zeros(1, COMMAND)
        order["side"], order["qty_lots"], order["price_ticks"] = side, lots, price
        order["ord_type"], order["account"] = OrdType.LIMIT if price else OrdType.MARKET, USER
        return self.exchange.submit(order)[0]


def small_book(instrument: Instrument, symbol_id: int) -> Book:
    return Book(instrument, symbol_id, max_live_orders=2_000)


@pytest.fixture(scope="module")
def five_minutes() -> Session:
    return Session(instruments(8), rate=100.0).run(300)


def digest(seconds: float) -> str:
    """Of every command sent."""
    told = hashlib.sha256()
    session = Session(instruments(8), rate=100.0)
    for _ in range(round(10 * seconds)):
        session.run(0.1)
        told.update(session.exchange.commands.tobytes())
    return told.hexdigest()


class TestLiveliness:
    def test_every_symbol_trades(self, five_minutes: Session) -> None:
        assert min(depth.trades for depth in five_minutes.depths) > 100

    def test_books_are_two_sided(self, five_minutes: Session) -> None:
        assert np.mean(five_minutes.two_sided) > 0.99

    def test_commands_come_at_the_rate(self, five_minutes: Session) -> None:
        assert five_minutes.commands / 300 == pytest.approx(100.0, rel=0.1)

    @pytest.mark.parametrize(("n", "rate", "step_s"), [(1, 5.0, 0.1), (2, 40.0, 2.0), (300, 1_000.0, 0.1)])
    def test_any_rate_is_met(self, n: int, rate: float, step_s: float) -> None:
        seconds = 2_000 / rate
        session = Session(instruments(n), rate).run(seconds, round(step_s * 1e9))
        assert session.commands / seconds == pytest.approx(rate, rel=0.1)

    def test_a_sensible_part_of_the_commands_trades_at_once(self, five_minutes: Session) -> None:
        assert 0.10 < five_minutes.taking / five_minutes.commands < 0.20

    def test_live_orders_are_bounded(self, five_minutes: Session) -> None:
        assert 50 < five_minutes.live <= MAX_LIVE_ORDERS

    def test_spreads_and_depth_are_sane(self, five_minutes: Session) -> None:
        assert 0.5 < np.median(five_minutes.spreads_bp) < 5
        assert np.percentile(five_minutes.spreads_bp, 99) < 20
        assert np.median(five_minutes.levels) >= 20

    def test_depth_decays_away_from_the_price(self, five_minutes: Session) -> None:
        bids = five_minutes.depths[0].levels[Side.BUY]
        best = max(bids)
        near, far = (
            sum(lots for price, lots in bids.items() if low <= 1e4 * (1 - price / best) < low + 10) for low in (0, 40)
        )
        assert near > 2 * far

    def test_orders_pass_the_filters(self, five_minutes: Session) -> None:
        every = Session(instruments(300), rate=2_000.0).run(6)
        unknown = (CommandKind.CANCEL, CommandKind.REPLACE)
        allowed = {(kind, Reason.UNKNOWN_ORDER) for kind in unknown}
        assert five_minutes.refusals | every.refusals <= allowed

    def test_makers_hold_little(self, five_minutes: Session) -> None:
        """In BTC: not more than 30 typical levels of 30,000 USDT."""
        market = five_minutes.exchange.market
        assert abs(int(market._position[0, 0])) * 0.00001 * 95_000 < 30 * 30_000


class TestDeterminism:
    def test_same_seed_same_bytes(self) -> None:
        assert digest(10) == digest(10)

    def test_another_seed_another_market(self) -> None:
        one, other = (Session(instruments(2), 50.0, seed).run(5).depths[0].orders for seed in (1, 2))
        assert one != other

    @pytest.mark.parametrize("hash_seed", ["0", "4711"])
    def test_hash_seed_does_not_matter(self, hash_seed: str) -> None:
        code = "from tests.unit.test_agents import digest; print(digest(3))"
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == digest(3)


class TestCommands:
    def test_tokens_are_unique_and_order_ids_left_to_the_exchange(self) -> None:
        session, tokens = Session(instruments(3), 100.0), []
        for _ in range(100):
            sent = session.run(0.1).exchange.commands
            tokens += sent["token"].tolist()
            new = sent[sent["kind"] == CommandKind.NEW]
            assert not new["order_id"].any()
            assert len(np.unique(new["client_order_id"])) == len(new)
            assert np.isin(sent["account"], ACCOUNTS).all()
        assert len(set(tokens)) == len(tokens)
        assert 0 not in tokens

    def test_no_time_no_commands(self) -> None:
        market = SimulatedMarket(instruments(2), ACCOUNTS, 100.0, seed=1)
        nothing = np.zeros(0, REPORT)
        assert len(market.step(START_NS, nothing)) == 0
        assert len(market.step(START_NS - STEP_NS, nothing)) == 0

    def test_reports_of_strangers_are_ignored(self) -> None:
        strange = np.zeros(2, REPORT)
        strange["exec_type"], strange["account"], strange["symbol"] = ExecType.TRADE, (USER, 10**6), (0, 99)
        market = SimulatedMarket(instruments(2), ACCOUNTS, 100.0, seed=1)
        assert len(market.step(START_NS, strange)) == 0

    def test_a_wrong_construction_is_refused(self) -> None:
        with pytest.raises(ValueError, match="accounts"):
            SimulatedMarket(instruments(2), ACCOUNTS[1:], 100.0, seed=1)


class TestUsers:
    def test_a_swept_side_refills_within_seconds(self) -> None:
        session = Session(instruments(2), 30.0).run(60)
        depth = session.depths[0]
        asks = depth.levels[Side.SELL]
        before = min(asks)
        session.user(Side.BUY, sum(asks.values()))
        assert not asks
        session.run(2)
        assert asks
        session.run(8)
        assert len(asks) >= 20
        assert min(asks) == pytest.approx(before, rel=0.005)

    def test_one_bitcoin_moves_the_price_a_little(self, five_minutes: Session) -> None:
        depth = five_minutes.depths[0]
        before = depth.best_ask
        assert before
        trades = five_minutes.user(Side.BUY, 100_000)
        worst = int(trades["price_ticks"].max())
        assert 0.2 < 1e4 * (worst / before - 1) < 20

    @pytest.mark.parametrize("side", list(Side))
    def test_an_order_at_the_best_price_is_met(self, side: Side) -> None:
        session = Session(instruments(1), 20.0).run(20)
        best = (session.depths[0].best_bid, session.depths[0].best_ask)[side]
        assert best
        order_id = int(session.user(side, 100, best)[0]["order_id"])
        assert order_id in session.depths[0].orders
        for _ in range(120):
            session.run(1)
            if order_id not in session.depths[0].orders:
                return
        raise AssertionError("nobody traded with the best order for two minutes")


class TestRecovery:
    def test_a_restart_goes_on_from_the_last_prices(self) -> None:
        last = {0: 6_000_000, 1: 200_000}
        session = Session(instruments(3), 60.0, last_prices=last).run(10)
        for symbol, price in (*last.items(), (2, instruments(3)[2].start_price_ticks)):
            assert session.depths[symbol].last_price == pytest.approx(price, rel=0.01)

    def test_a_restart_does_not_sweep_an_empty_book(self) -> None:
        """It did: market orders came before the ladders, and users' far orders were filled at absurd prices."""
        listed = instruments(8)
        session = Session(listed, 100.0, seed=3)
        far = np.zeros(2 * len(listed), COMMAND)
        far["symbol"] = np.repeat(np.arange(len(listed)), 2)
        far["side"] = [Side.BUY, Side.SELL] * len(listed)
        start = np.array([one.start_price_ticks for one in listed])[far["symbol"]]
        far["price_ticks"] = start * np.where(far["side"] == Side.BUY, 97, 103) // 100
        far["qty_lots"], far["account"] = 10_007, 999
        session.exchange.submit(far)
        session.run(20)
        assert session.taking > 0
        for symbol, side, price in zip(
            *(far[name].tolist() for name in ("symbol", "side", "price_ticks")), strict=True
        ):
            assert (side, price, 10_007) in session.depths[symbol].orders.values()

    def test_a_long_gap_is_not_caught_up(self) -> None:
        session = Session(instruments(2), 40.0).run(30)
        session.run(3_600, step_ns=3_600 * 10**9)
        assert len(session.exchange.commands) < 1.5 * 40.0 * MAX_STEP_S
        spreads = len(session.spreads_bp)
        session.run(20)
        assert session.live <= MAX_LIVE_ORDERS
        assert np.median(session.spreads_bp[spreads + 200 :]) < 10

    def test_lost_reports_cost_no_order_for_ever(self) -> None:
        session = with_reports(Session(instruments(2), 40.0), losing(0.01))
        session.run(120)
        assert session.live <= MAX_LIVE_ORDERS
        assert np.mean(session.two_sided) > 0.95

    def test_refused_makers_come_back(self) -> None:
        session = Session(instruments(2), 40.0)
        submit = session.exchange.submit
        session.exchange.submit = lambda commands: refuse(session.exchange, commands)  # type: ignore[method-assign]
        session.run(10)
        assert session.depths[0].best_bid is None
        session.exchange.submit = submit  # type: ignore[method-assign]
        session.run(15)
        assert min(map(len, session.depths[0].levels)) >= 20


def losing(part: float) -> Callable[[Records], Records]:
    rng = np.random.default_rng(5)
    return lambda reports: reports[rng.random(len(reports)) >= part]


def with_reports(session: Session, change: Callable[[Records], Records]) -> Session:
    market = session.exchange.market
    step = market.step
    market.step = lambda ts_ns, reports: step(ts_ns, change(reports))  # type: ignore[method-assign]
    return session


def refuse(exchange: ToyExchange, commands: Records) -> list[Records]:
    """What the accounts answer when the money is gone."""
    told = np.zeros(len(commands), REPORT)
    for name in ("symbol", "account", "token"):
        told[name] = commands[name]
    told["exec_type"], told["reason"] = ExecType.REJECTED, Reason.INSUFFICIENT_BALANCE
    exchange._reports.append(told)
    return []


class TestFairPrices:
    @staticmethod
    def paths(
        seed: int, days: int, step_s: float, volatility: tuple[float, ...] = (0.5, 0.7, 0.9)
    ) -> Iterator[npt.NDArray[np.float64]]:
        start = np.array([9_500_000.0, 330_000.0, 500.0])
        prices = FairPrices(
            start=start,
            anchor=start,
            lowest=np.ones(3),
            highest=100 * start,
            annual_volatility=np.array(volatility),
            market_share=np.array([0.85, 0.6, 0.6]),
            rng=np.random.default_rng(seed),
        )
        for _ in range(round(days * 86_400 / step_s)):
            prices.advance(step_s)
            yield prices.ticks

    def test_a_day_stays_positive_and_near(self) -> None:
        path = np.array(list(self.paths(seed=1, days=1, step_s=5.0)))
        assert (path > 0).all()
        assert (np.abs(path[-1] / path[0] - 1) < 0.5).all()

    def test_the_wildest_prices_stay_inside_the_filters(self) -> None:
        path = np.array(list(self.paths(seed=2, days=10, step_s=600.0, volatility=(30.0, 100.0, 300.0))))
        assert (path > 1.999).all()
        assert (path < 50.001 * np.array([9_500_000.0, 330_000.0, 500.0])).all()
        assert path.min() < 3

    def test_returns_look_real(self) -> None:
        """R. Cont (2001): fat tails, volatility clusters that fade slowly, no linear memory, one market."""
        returns = np.diff(np.log(np.array(list(self.paths(seed=3, days=14, step_s=60.0)))), axis=0)
        scaled = (returns - returns.mean(axis=0)) / returns.std(axis=0)
        volatility = returns.std(axis=0) * np.sqrt(YEAR_S / 60)
        size = np.abs(scaled) - np.abs(scaled).mean(axis=0)

        def memory(x: npt.NDArray[np.float64], lag: int) -> npt.NDArray[np.float64]:
            return np.asarray((x[lag:] * x[:-lag]).mean(axis=0) / (x * x).mean(axis=0))

        assert (np.abs(volatility / [0.5, 0.7, 0.9] - 1) < 0.35).all()
        assert ((scaled**4).mean(axis=0) > 5).all()
        assert (memory(size, 1) > 0.15).all()
        assert (memory(size, 60) > 0.03).all()
        assert (np.abs(memory(scaled, 1)) < 0.05).all()
        assert (np.corrcoef(scaled.T)[0, 1:] > 0.5).all()
