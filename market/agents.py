"""The simulated participants: makers, noise and momentum traders, as ordinary accounts with ordinary orders.

They know the fair prices, their own reports and nothing else; they never see the book. State is arrays over
[symbol, place]: a place holds at most one resting order; the first MAKER_PLACES are levels of the maker's
ladders, the rest belong to noise traders. Their character and the geometry of the ladders are in
`scenario`.

Sources: traders by kind: C. Chiarella, G. Iori (2002), A simulation analysis of the microstructure of
double auction markets; random placement and cancellation: E. Smith, J. D. Farmer, L. Gillemot, S.
Krishnamurthy (2003), Statistical theory of the continuous double auction; persistent signs of orders: F.
Lillo, J. D. Farmer (2004), The long memory of the efficient market; activity that follows volatility: P.
Clark (1973), A subordinated stochastic process model.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from market import scenario as sc
from market.enums import CommandFlag, CommandKind, ExecType, OrdType, Side, StpMode, TimeInForce
from market.instrument import Instrument
from market.price_process import FairPrices, Floats
from market.reasons import Reason
from market.records import COMMAND
from market.scenario import Ints

Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]

MAX_STEP_S = 5.0
"""A step catches up at most so many seconds of commands, and MAX_GAP_S of fair price."""
MAX_GAP_S = 600.0
ANSWER_LIMIT_S = 5.0
"""A command unanswered for so long makes its account cancel all in the symbol and begin anew there."""
MAX_WAIT_STEP_S = 0.1
"""What one step adds to that wait at most: long steps are no reason for doubt."""
REFUSED_PAUSE_S = 2.0
"""A place whose order was refused stays idle for so long; others get their turn."""

NO_PLACE = (1 << 20) - 1
"""Low 20 bits of a token: the place that waits for the answer (flat number); the rest is a running number."""

# Looked up by ExecType, and plain numbers: numpy asks an enum member for its attributes in every expression.
_ACCEPTED, _REFUSED, _ENDED = (
    np.isin(np.arange(len(ExecType)), kinds)
    for kinds in (
        (ExecType.NEW, ExecType.REPLACED),
        (ExecType.REJECTED, ExecType.CANCEL_REJECTED),
        (ExecType.CANCELED, ExecType.EXPIRED),
    )
)
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_NEW, _CANCEL, _REPLACE = int(CommandKind.NEW), int(CommandKind.CANCEL), int(CommandKind.REPLACE)
_TRADE, _CANCELED, _UNKNOWN_ORDER = int(ExecType.TRADE), int(ExecType.CANCELED), int(Reason.UNKNOWN_ORDER)
_LIMIT, _MARKET, _BY_QUOTE = int(OrdType.LIMIT), int(OrdType.MARKET), int(CommandFlag.BY_QUOTE)
_IOC, _FOK, _EXPIRE_MAKER = int(TimeInForce.IOC), int(TimeInForce.FOK), int(StpMode.EXPIRE_MAKER)


class Orders:
    """The resting orders and unanswered commands of all participants, learned from reports alone."""

    def __init__(self, symbols: int) -> None:
        if symbols * sc.PLACES >= NO_PLACE:
            raise ValueError(f"at most {NO_PLACE // sc.PLACES - 1} symbols, got {symbols}")
        shape = (symbols, sc.PLACES)
        self.order_id = np.zeros(shape, np.int64)
        self.price = np.zeros(shape, np.int64)
        self.leaves = np.zeros(shape, np.int64)
        self._token = np.zeros(shape, np.uint64)
        """Of the unanswered command; 0: none."""
        self._sent_at = np.zeros(shape)
        self._idle_from = np.zeros(shape)
        self._now = 0.0

    @property
    def idle(self) -> Bools:
        """Places that may send a command now."""
        idle: Bools = (self._token == 0) & (self._idle_from <= self._now)
        return idle

    def wait(self, seconds: float) -> tuple[Ints, Ints]:
        """Let time pass; the symbols and places whose commands are now too long unanswered."""
        self._now += min(seconds, MAX_WAIT_STEP_S)
        overdue = (self._token != 0) & (self._sent_at < self._now - ANSWER_LIMIT_S)
        flat = np.flatnonzero(overdue).astype(np.int64)
        return flat // sc.PLACES, flat % sc.PLACES

    def sent(self, place: Ints, token: npt.NDArray[np.uint64]) -> None:
        """`place`: flat numbers."""
        self._token.flat[place] = token
        self._sent_at.flat[place] = self._now

    def forget(self, symbol: Ints, place: Ints) -> None:
        self.order_id[symbol, place] = 0
        self._token[symbol, place] = 0

    def learn(self, reports: Records) -> None:
        self._answers(reports)
        self._changes(reports)

    def _answers(self, reports: Records) -> None:
        """By token: what became of the commands sent."""
        tokens, exec_type = reports["token"], reports["exec_type"]
        place = (tokens & np.uint64(NO_PLACE)).astype(np.int64)
        known = place < self._token.size
        known[known] = self._token.flat[place[known]] == tokens[known]
        accepted = known & _ACCEPTED[exec_type]
        refused = known & _REFUSED[exec_type]
        canceled = known & (exec_type == _CANCELED) & (reports["command_kind"] == _CANCEL)
        self.order_id.flat[place[accepted]] = reports["order_id"][accepted]
        self.price.flat[place[accepted]] = reports["price_ticks"][accepted]
        # A CANCEL or REPLACE of an order that is gone; a refused NEW has none to forget.
        gone = refused & (reports["reason"] == _UNKNOWN_ORDER)
        self.order_id.flat[place[gone]] = 0
        self._token.flat[place[accepted | refused | canceled]] = 0
        self._idle_from.flat[place[refused & ~gone]] = self._now + REFUSED_PAUSE_S

    def _changes(self, reports: Records) -> None:
        """By order id: fills and ends of resting orders."""
        exec_type, symbol, leaves = reports["exec_type"], reports["symbol"], reports["leaves_lots"]
        told = (reports["order_id"] > 0) & ~_REFUSED[exec_type]
        row, place = np.nonzero((self.order_id[symbol] == reports["order_id"][:, None]) & told[:, None])
        # Rows ascend, so that the newest report of an order is the one that stays.
        self.leaves[symbol[row], place] = leaves[row]
        ended = (_ENDED[exec_type] | (~_ACCEPTED[exec_type] & (leaves == 0)))[row]
        self.order_id[symbol[row[ended]], place[ended]] = 0


class SimulatedMarket:
    """All participants of all symbols behind one function: reports in, commands out."""

    ACCOUNTS: ClassVar[tuple[str, ...]] = (
        *(f"maker-{i}" for i in range(sc.MAKERS)),
        *(f"noise-{i}" for i in range(sc.NOISE_TRADERS)),
        *(f"momentum-{i}" for i in range(sc.MOMENTUM_TRADERS)),
    )

    def __init__(
        self,
        instruments: Sequence[Instrument],
        accounts: Sequence[int],
        rate: float,
        seed: int,
        last_prices: Mapping[int, int] | None = None,
    ) -> None:
        """`accounts`: their ids in the order of ACCOUNTS. `rate`: commands per second over all symbols, > 0.
        `last_prices`: ticks by symbol id (position in `instruments`) to go on from, where known."""
        if len(accounts) != len(self.ACCOUNTS) or rate <= 0 or not instruments:
            raise ValueError(f"needs {len(self.ACCOUNTS)} accounts, a rate above 0 and an instrument")
        self._rng = np.random.default_rng(seed)
        self._rate = rate
        self._accounts = np.array(accounts, np.int64)
        self._sorter = np.argsort(self._accounts)
        self._limits = sc.limits(instruments)
        self._scales = sc.scales(instruments, rate)
        self._symbols = np.arange(len(instruments))
        self._fair = self._open(last_prices or {})
        self._grid = sc.Grid(self._fair.ticks, self._scales.cell_share)
        self._orders = Orders(len(instruments))
        self._position = np.zeros((len(accounts), len(instruments)), np.int64)
        """[trader, symbol]: lots bought less lots sold."""
        self._last_price = self._fair.ticks
        self._averages = np.log(self._last_price) + np.zeros((2, 1))
        """Fast and slow average of the logarithm of traded prices."""
        self._mood = self._rng.standard_normal(len(instruments))
        self._ts_ns: int | None = None
        self._running_number = 0
        self._owed = 0
        """Commands that the rate allows and that were not sent."""

    def _open(self, last_prices: Mapping[int, int]) -> FairPrices:
        limits, scales = self._limits, self._scales
        start = np.array([float(last_prices.get(int(i), 0)) for i in self._symbols])
        return FairPrices(
            start=np.where(start > 0, start, limits.start),
            anchor=limits.start,
            lowest=limits.lowest.astype(np.float64),
            highest=limits.highest.astype(np.float64),
            annual_volatility=scales.annual_volatility,
            market_share=scales.market_share,
            rng=self._rng,
        )

    def step(self, ts_ns: int, reports: Records) -> Records:
        """REPORT[n] of the participants' accounts since the last step -> COMMAND[m] in sending order."""
        seconds = self._elapsed(ts_ns)
        self._learn(reports)
        self._move(seconds)
        again = self._resynchronise(seconds)
        due = self._due(seconds) - len(again)
        if due <= 0:
            return self._stamp([again])
        taken = self._take(int(self._rng.binomial(due, sc.TAKER_SHARE)))
        noise = self._noise(int(self._rng.binomial(due, sc.NOISE_SHARE)))
        quotes = self._quote(due - len(taken) - len(noise))
        return self._stamp([again, quotes, noise, taken])

    # -- what happened --------------------------------------------------------------------------------------

    def _elapsed(self, ts_ns: int) -> float:
        if self._ts_ns is None:
            # Tokens of an earlier life of the same accounts are never met again.
            self._running_number = ts_ns // 1_000_000
            self._ts_ns = ts_ns
        seconds = max(0, ts_ns - self._ts_ns) / 1e9
        self._ts_ns = max(ts_ns, self._ts_ns)
        return seconds

    def _learn(self, reports: Records) -> None:
        at = np.searchsorted(self._accounts, reports["account"], sorter=self._sorter)
        trader = self._sorter[np.minimum(at, len(self._accounts) - 1)]
        symbol = reports["symbol"]
        own = (self._accounts[trader] == reports["account"]) & (symbol >= 0) & (symbol < len(self._symbols))
        reports, trader = reports[own], trader[own]
        self._orders.learn(reports)
        trades = reports["exec_type"] == _TRADE
        fills, symbol = reports[trades], reports["symbol"][trades]
        bought = np.where(fills["side"] == _BUY, fills["last_qty_lots"], -fills["last_qty_lots"])
        np.add.at(self._position, (trader[trades], symbol), bought)
        self._last_price[symbol] = fills["last_price_ticks"]

    def _move(self, seconds: float) -> None:
        """Fair prices, averages and moods go on; the makers' ladders follow, leaning against inventory."""
        self._fair.advance(min(seconds, MAX_GAP_S))
        kept = np.exp(-seconds / np.array([[sc.TREND_FAST_S], [sc.TREND_SLOW_S]]))
        self._averages = kept * self._averages + (1.0 - kept) * np.log(self._last_price)
        kept_mood = np.exp(-seconds / sc.MOOD_MEMORY_S)
        self._mood *= kept_mood
        self._mood += np.sqrt(1.0 - kept_mood**2) * self._rng.standard_normal(len(self._mood))
        fair, agitation = self._fair.ticks, self._fair.agitation
        self._trend = sc.trend(self._averages, self._scales.annual_volatility * agitation)
        self._level_lots = self._scales.level_units / (fair * self._limits.unit)
        held = self._position[self._symbols % sc.MAKERS, self._symbols] / self._level_lots
        lean = self._grid.cell * held / sc.INVENTORY_LEVELS
        self._grid.center(fair - np.clip(lean, -sc.MAX_LEAN * fair, sc.MAX_LEAN * fair), agitation)
        weight = np.cumsum(self._scales.activity * np.minimum(agitation, sc.MAX_SPREAD_FACTOR))
        self._activity = weight / weight[-1]

    def _due(self, seconds: float) -> int:
        """Commands to send now. What a step could not send is carried over, but not for long."""
        arrived = int(self._rng.poisson(self._rate * min(seconds, MAX_STEP_S)))
        self._owed = min(self._owed + arrived, max(1, int(self._rate * MAX_STEP_S), arrived))
        return self._owed

    # -- what the participants do ---------------------------------------------------------------------------

    def _resynchronise(self, seconds: float) -> Records:
        """Where reports are missing the account cancels all it has in the symbol and begins anew."""
        late_symbol, late_place = self._orders.wait(seconds)
        if len(late_symbol) == 0:
            return np.zeros(0, COMMAND)
        owner = self._owner(late_symbol, late_place)
        pairs = np.unique(np.stack([owner, late_symbol], axis=1), axis=0)
        places = np.arange(sc.PLACES)
        for trader, symbol in pairs:
            mine = places[self._owner(np.full(sc.PLACES, symbol), places) == trader]
            self._orders.forget(np.full(len(mine), symbol), mine)
        commands = _commands(CommandKind.CANCEL_ALL, pairs[:, 1], np.full(len(pairs), NO_PLACE))
        commands["account"] = self._accounts[pairs[:, 0]]
        return commands

    def _quote(self, count: int) -> Records:
        """The `count` most urgent repairs of all ladders; where all is in order, new sizes."""
        orders, grid, goals = self._orders, self._grid, self._grid.goals()
        at = np.s_[:, : sc.MAKER_PLACES]
        live, price, sizes = orders.order_id[at] != 0, orders.price[at], grid.sizes(goals)
        eaten = orders.leaves[at] < sc.THIN_PART * sizes * self._level_lots[:, None]
        urgency = grid.urgency(goals, live, price, eaten) * self._rng.standard_exponential(goals.shape)
        urgency *= orders.idle[at] & grid.within(goals, self._limits.lowest, self._limits.highest)
        symbol, place = _most_urgent(urgency, count)
        # Quotes in the way of the price retreat before others advance.
        order = np.argsort(~(live & grid.ahead(price))[symbol, place], kind="stable")
        symbol, place = symbol[order], place[order]
        return self._place_quotes(symbol, place, goals[symbol, place], sizes[symbol, place])

    def _place_quotes(self, symbol: Ints, place: Ints, goal: Ints, sizes: Floats) -> Records:
        n = len(symbol)
        price = self._grid.price(symbol, place, goal, self._rng.random(n))
        lots = self._level_lots[symbol] * sizes * self._rng.lognormal(0.0, sc.LEVEL_SIZE_SD, n)
        target = self._orders.order_id[symbol, place]
        kind = np.where(target != 0, _REPLACE, _NEW)
        commands = _commands(kind, symbol, symbol * sc.PLACES + place)
        commands["account"] = self._accounts[self._owner(symbol, place)]
        commands["side"] = np.where(sc.SIGN[place] > 0, _BUY, _SELL)
        commands["target_id"] = target
        commands["expected_leaves"] = np.where(target != 0, -1, 0)
        commands["price_ticks"] = price
        commands["qty_lots"] = self._limits.fit(lots, symbol, price)
        return commands

    def _noise(self, count: int) -> Records:
        """At random places an order is canceled, an empty one gets a limit order: about half are taken."""
        symbol = self._draw_symbols(count)
        place = sc.MAKER_PLACES + self._rng.integers(sc.NOISE_ORDERS, size=count)
        flat = np.unique(symbol * sc.PLACES + place)
        flat = flat[self._orders.idle.flat[flat]]
        symbol, place = flat // sc.PLACES, flat % sc.PLACES
        order_id = self._orders.order_id[symbol, place]
        commands = _commands(np.where(order_id != 0, _CANCEL, _NEW), symbol, flat)
        commands["account"] = self._accounts[self._owner(symbol, place)]
        commands["order_id"] = order_id
        new = order_id == 0
        self._place_noise(commands, new, symbol[new])
        return commands

    def _place_noise(self, commands: Records, new: Bools, symbol: Ints) -> None:
        n = len(symbol)
        sign = np.where(self._rng.random(n) < 0.5, 1, -1)
        half = self._grid.half_spread[symbol]
        inside = half * self._rng.uniform(0.5, 1.5, n)
        tail = sc.NOISE_SPREAD_CELLS * self._rng.pareto(sc.NOISE_TAIL, n)
        behind = half + np.minimum(tail, sc.NOISE_MAX_CELLS)
        cells = np.where(self._rng.random(n) < sc.NOISE_INSIDE, inside, behind)
        price = self._limits.tick(self._grid.quoted[symbol] - sign * cells * self._grid.cell[symbol], symbol)
        lots = sc.trade_lots(self._level_lots[symbol], self._rng)
        commands["side"][new] = np.where(sign > 0, _BUY, _SELL)
        commands["price_ticks"][new] = price
        commands["qty_lots"][new] = self._limits.fit(lots, symbol, price)

    def _take(self, count: int) -> Records:
        """Orders meant to trade at once, of momentum traders in a trend, else of noise traders."""
        symbol = self._draw_symbols(count)
        symbol = symbol[self._standing()[symbol]]
        count = len(symbol)
        trader, buy, most = self._decide(symbol)
        sign = np.where(buy, 1, -1)
        price = self._grid.middle[symbol]
        wanted = np.minimum(sc.trade_lots(self._level_lots[symbol], self._rng), most)
        lots = self._limits.fit(wanted, symbol, price)
        style = self._rng.random(count)
        by_quote, market = style < sc.BY_QUOTE_SHARE, style < sc.BY_QUOTE_SHARE + sc.MARKET_SHARE
        fok = style >= 1.0 - sc.FOK_SHARE
        reach = np.where(fok, sc.FOK_REACH_CELLS, sc.IOC_REACH_CELLS) + self._grid.half_spread[symbol]
        limit = self._limits.tick(price + sign * reach * self._grid.cell[symbol], symbol)
        commands = _commands(_NEW, symbol, np.full(count, NO_PLACE))
        commands["account"] = self._accounts[trader]
        commands["side"] = np.where(buy, _BUY, _SELL)
        commands["ord_type"] = np.where(market, _MARKET, _LIMIT)
        commands["time_in_force"] = np.where(fok, _FOK, _IOC) * ~market
        commands["flags"] = _BY_QUOTE * by_quote
        commands["price_ticks"] = limit * ~market
        commands["qty_lots"] = lots * ~by_quote
        commands["quote_units"] = np.rint(lots * price * self._limits.unit[symbol]) * by_quote
        return commands

    def _standing(self) -> Bools:
        """Symbols with ladders. In others, as after a start, a market order would meet users' far orders or nobody."""
        live = self._orders.order_id[:, : sc.MAKER_PLACES] != 0
        sides = [live[:, sign == sc.SIGN].mean(axis=1) for sign in (1, -1)]
        standing: Bools = np.minimum(*sides) >= sc.STANDING_PART
        return standing

    def _decide(self, symbol: Ints) -> tuple[Ints, Bools, Floats]:
        """Who takes, which side, and the most lots: a trend that ended makes momentum traders close."""
        n = len(symbol)
        noise = sc.MAKERS + self._rng.integers(sc.NOISE_TRADERS, size=n)
        momentum = sc.MAKERS + sc.NOISE_TRADERS + self._rng.integers(sc.MOMENTUM_TRADERS, size=n)
        trend, held, level = self._trend[symbol], self._position[momentum, symbol], self._level_lots[symbol]
        enter = (np.abs(trend) > sc.TREND_ENTER) & (held * np.sign(trend) < sc.POSITION_LEVELS * level)
        leave = ~enter & (np.abs(held) > sc.DUST_LEVELS * level) & (trend * np.sign(held) < sc.TREND_LEAVE)
        follow = (self._rng.random(n) < sc.MOMENTUM_SHARE) & (enter | leave)
        trader = np.where(follow, momentum, noise)
        gap = (self._fair.ticks - self._grid.quoted)[symbol] / self._grid.cell[symbol]
        long = self._position[noise, symbol] / (sc.POSITION_LEVELS * level)
        odds = sc.MISPRICING_WEIGHT * gap + sc.MOOD_WEIGHT * self._mood[symbol] - sc.POSITION_WEIGHT * long
        buy = self._rng.random(n) < 1.0 / (1.0 + np.exp(-np.clip(odds, -20.0, 20.0)))
        buy = np.where(follow, np.where(enter, trend > 0, held < 0), buy)
        most = np.where(follow & ~enter, np.abs(held), np.inf)
        return trader, buy, most

    # -- small parts ----------------------------------------------------------------------------------------

    def _owner(self, symbol: Ints, place: Ints) -> Ints:
        """The trader (index into ACCOUNTS) to whom a place belongs."""
        return np.where(place < sc.MAKER_PLACES, symbol % sc.MAKERS, sc.MAKERS + place % sc.NOISE_TRADERS)

    def _draw_symbols(self, count: int) -> Ints:
        return np.searchsorted(self._activity, self._rng.random(count), side="right")

    def _stamp(self, parts: Sequence[Records]) -> Records:
        """Join; give tokens and client order ids."""
        commands, filled = np.empty(sum(map(len, parts)), COMMAND), 0
        for part in parts:
            commands[filled : filled + len(part)] = part
            filled += len(part)
        place = commands["token"].astype(np.int64)
        number = self._running_number + 1 + np.arange(len(commands))
        self._running_number += len(commands)
        self._owed = max(0, self._owed - len(commands))
        commands["token"] = (number << 20) | place
        waits = place != NO_PLACE
        self._orders.sent(place[waits], commands["token"][waits])
        named = (commands["kind"] == _NEW) | (commands["kind"] == _REPLACE)
        tokens = commands["token"][named].tolist()
        commands["client_order_id"][named] = [b"sim-%x" % token for token in tokens]
        return commands


def _commands(kind: int | Ints, symbol: Ints, place: Ints) -> Records:
    """LIMIT GTC commands; `token` carries the place until the end."""
    commands = np.zeros(len(symbol), COMMAND)
    commands["kind"] = kind
    commands["symbol"] = symbol
    commands["token"] = place
    commands["stp_mode"] = _EXPIRE_MAKER
    return commands


def _most_urgent(urgency: Floats, count: int) -> tuple[Ints, Ints]:
    """Symbols and places of the `count` largest entries that are above 0."""
    flat = urgency.ravel()
    first = max(0, len(flat) - count)
    chosen = np.argpartition(flat, first)[first:] if first < len(flat) else np.zeros(0, np.int64)
    chosen = chosen[flat[chosen] > 0]
    return chosen // urgency.shape[1], chosen % urgency.shape[1]
