"""Who takes part in the simulated market: every number of its character, and the geometry of its quotes.

Quantities that differ by symbol are arrays with one entry per symbol, derived from the instruments and the
command rate; the rest are named constants. Must not know commands or reports.

A ladder is a ring: level j of the price grid (cells of some ticks) lives in place j modulo the number of
levels, so a moving price sends the order left behind to the other end of its own ladder and touches nothing
in between. Both sides share the code in mirrored prices: an ask at p is a bid at -p.

Sources: humped depth and power-law placement: J.-P. Bouchaud, M. Mezard, M. Potters (2002), Statistical
properties of stock order books; I. Zovko, J. D. Farmer (2002), The power of patience; heavy-tailed sizes:
P. Gopikrishnan et al. (2000), Statistical properties of share volume; spreads that grow with volatility
over the time a quote stands still, and quotes that lean against inventory: M. Avellaneda, S. Stoikov
(2008), High-frequency trading in a limit order book.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from market.instrument import Instrument
from market.price_process import YEAR_S, Floats

Ints = npt.NDArray[np.int64]

MAKERS = 2
"""Accounts; symbol i is made by maker i % MAKERS, so that no account partition carries all quotes."""
NOISE_TRADERS = 4
MOMENTUM_TRADERS = 1

FINE_LEVELS, COARSE_LEVELS = 16, 12
"""Quoted by the maker on each side: one order per cell near the price, then one per COARSE_CELLS cells."""
COARSE_CELLS = 4
COARSE_OFFSET_CELLS = 3.0
"""Between the edge of the fine ladder and that of the coarse one."""
NOISE_ORDERS = 40
"""Places for resting noise orders per symbol, both sides together; about half are taken at any time."""

TAKER_SHARE, NOISE_SHARE = 0.13, 0.25
STANDING_PART = 0.5
"""Nobody takes in a symbol until so much of the makers' ladder stands on both sides."""
"""Parts of the commands: orders meant to trade at once, noise traders' limit orders and cancels; the rest
quote."""
MOMENTUM_SHARE = 0.25
"""Part of the takers' orders offered to momentum traders, who pass when there is no trend."""

MIN_CELL_SHARE = 1e-4
"""A cell is the maker's price step and about half of the usual spread; as a part of the price."""
COMMANDS_PER_CELL = 8.0
"""A cell is at least as wide as the price usually moves during so many commands of its symbol."""
CELL_DRIFT = 1.25
"""The grid is drawn anew when the price has changed by this factor."""
HALF_SPREAD_CELLS = 0.7
MIN_SPREAD_FACTOR, MAX_SPREAD_FACTOR = 0.85, 4.0
"""Spreads follow volatility within these bounds."""
HYSTERESIS_CELLS = 0.25
"""A price resting on the border of two cells does not make the ladder flicker."""

TOUCH_QUOTE, SMALLEST_QUOTE = 30_000.0, 1_000.0
"""Notional of a typical level, in whole units of the quote asset: of the first symbol, and the least."""
SIZE_DECAY, ACTIVITY_DECAY = 0.6, 0.5
"""Level size and share of the commands of the i-th symbol fall as (1 + i) ** -decay."""
LEVEL_SIZE_SD = 0.5
TRADE_MEDIAN, TRADE_SD, TRADE_CAP = 0.03, 1.4, 5.0
"""Log-normal size of a noise or momentum order in typical levels: median, sigma, cap."""
BY_QUOTE_SHARE, MARKET_SHARE, FOK_SHARE = 0.1, 0.55, 0.03
"""Of the orders meant to trade: MARKET by quote amount, MARKET by quantity, LIMIT FOK; the rest are IOC."""
IOC_REACH_CELLS, FOK_REACH_CELLS = 4.0, 12.0
"""How far behind the edge of the spread their limits are."""
ROUND_SHARE = 0.4
"""Part of them that has one significant digit, as people type them."""
NOISE_TAIL, NOISE_SPREAD_CELLS, NOISE_MAX_CELLS = 1.1, 3.0, 300.0
"""Noise limit orders stand a Pareto distance (exponent, scale, cap) behind the edge of the spread."""
NOISE_INSIDE = 0.15
"""Part of them that stands inside the spread or at its edge."""

INVENTORY_LEVELS = 4.0
"""The maker leans its quotes by one cell per so many typical levels of inventory."""
MAX_LEAN = 0.2
"""Part of the price."""
POSITION_LEVELS = 40.0
"""A noise trader holding so many levels trades mostly the other way; a momentum trader adds no more."""
MISPRICING_WEIGHT, MOOD_WEIGHT, POSITION_WEIGHT = 1.2, 0.8, 2.0
"""Log-odds of a noise trader buying: per cell of fair price above the quotes, sd of mood, full position."""
MOOD_MEMORY_S = 60.0
TREND_FAST_S, TREND_SLOW_S = 15.0, 90.0
"""Averages of traded prices whose difference is the trend."""
TREND_ENTER, TREND_LEAVE = 1.0, 0.3
"""In standard deviations of that difference."""
DUST_LEVELS = 0.01
"""A momentum trader lets a smaller position be."""

AHEAD_URGENCY, THIN_URGENCY, REFRESH_URGENCY = 6.0, 0.3, 0.01
"""Of a quote the price has run over, one mostly eaten, one in order; a missing one: 1; less with depth."""
THIN_PART = 0.4
"""Of the typical size, below which a quote is mostly eaten."""
DEPTH_PATIENCE = 0.2

ANNUAL_VOLATILITY = {
    "BTCUSDT": 0.50,
    "ETHUSDT": 0.70,
    "BNBUSDT": 0.55,
    "SOLUSDT": 0.75,
    "XRPUSDT": 0.70,
    "DOGEUSDT": 0.80,
    "ADAUSDT": 0.80,
    "LTCUSDT": 0.70,
}
OTHER_VOLATILITY = 0.90
FACTOR_SHARE, FIRST_FACTOR_SHARE = 0.6, 0.85
"""Part of a symbol's variance explained by the market factor; the first symbol is nearly the market."""

# Ladders: fine bids, fine asks, coarse bids, coarse asks.
LADDER_SIGN = np.array([1, -1, 1, -1])
LADDER_CELLS = np.array([1, 1, COARSE_CELLS, COARSE_CELLS])
LADDER_OFFSET = np.array([0.0, 0.0, COARSE_OFFSET_CELLS, COARSE_OFFSET_CELLS])
LADDER_LEVELS = np.array([FINE_LEVELS, FINE_LEVELS, COARSE_LEVELS, COARSE_LEVELS])

# One entry per place of a maker's order: its ladder, its number within the ring, its ladder's properties.
LADDER = np.repeat(np.arange(4), LADDER_LEVELS)
RING = np.concatenate([np.arange(levels) for levels in LADDER_LEVELS])
SIGN, CELLS, LEVELS = LADDER_SIGN[LADDER], LADDER_CELLS[LADDER], LADDER_LEVELS[LADDER]
MAKER_PLACES = len(LADDER)
PLACES = MAKER_PLACES + NOISE_ORDERS


def _shape() -> Floats:
    """Typical levels by ladder and depth: a hump some cells behind the touch, then decay."""
    depth = np.arange(max(FINE_LEVELS, COARSE_LEVELS))
    fine = (0.45 + 0.55 * np.minimum(depth / 4.0, 1.0)) * np.exp(-depth / 7.5)
    coarse = 1.7 * np.exp(-depth / 6.0)
    return np.stack([fine, fine, coarse, coarse])


SHAPE = _shape()


class Scales(NamedTuple):
    """What a symbol is like; arrays over symbols."""

    annual_volatility: Floats
    market_share: Floats
    activity: Floats
    """Relative shares of the commands."""
    cell_share: Floats
    """Width of a cell as a part of the price."""
    level_units: Floats
    """Notional of a typical level in units of the quote asset."""


def scales(instruments: Sequence[Instrument], rate: float) -> Scales:
    """`rate`: commands per second over all symbols together, > 0."""
    rank = 1.0 + np.arange(len(instruments))
    volatility = np.array([ANNUAL_VOLATILITY.get(one.symbol, OTHER_VOLATILITY) for one in instruments])
    share = np.full(len(instruments), FACTOR_SHARE)
    share[0] = FIRST_FACTOR_SHARE
    traversed = volatility * np.sqrt(COMMANDS_PER_CELL * len(instruments) / (YEAR_S * rate))
    coin = np.array([10.0**one.quote.scale for one in instruments])
    return Scales(
        annual_volatility=volatility,
        market_share=share,
        activity=np.power(rank, -ACTIVITY_DECAY),
        cell_share=np.maximum(MIN_CELL_SHARE, traversed),
        level_units=coin * np.maximum(SMALLEST_QUOTE, TOUCH_QUOTE * rank**-SIZE_DECAY),
    )


def trend(averages: Floats, annual_volatility: Floats) -> Floats:
    """Fast less slow average of log prices (rows), in standard deviations of that difference."""
    seconds = (TREND_SLOW_S - TREND_FAST_S) ** 2 / (2 * (TREND_SLOW_S + TREND_FAST_S))
    return np.asarray((averages[0] - averages[1]) / (annual_volatility * np.sqrt(seconds / YEAR_S)))


def trade_lots(level_lots: Floats, rng: np.random.Generator) -> Floats:
    """Sizes of noise and momentum orders, one per entry of `level_lots`, the size of a typical level."""
    n = len(level_lots)
    levels = np.minimum(TRADE_MEDIAN * rng.lognormal(0.0, TRADE_SD, n), TRADE_CAP)
    lots = np.maximum(1.0, levels * level_lots)
    power = 10.0 ** np.floor(np.log10(lots))
    return np.where(rng.random(n) < ROUND_SHARE, np.rint(lots / power) * power, lots)


class Limits(NamedTuple):
    """The filters that an order must meet; arrays over symbols."""

    start: Floats
    lowest: Ints
    highest: Ints
    unit: Floats
    """Quote units per tick and lot."""
    min_lots: Ints
    max_lots: Ints
    min_notional: Floats
    max_notional: Floats

    def tick(self, price: Floats, symbol: Ints) -> Ints:
        """The nearest price that the filters allow."""
        return np.clip(np.rint(price).astype(np.int64), self.lowest[symbol], self.highest[symbol])

    def fit(self, lots: Floats, symbol: Ints, price: Floats | Ints) -> Ints:
        """The nearest quantity that the filters allow at `price`, with a margin for a moving last price."""
        worth = price * self.unit[symbol]
        least = np.maximum(self.min_lots[symbol], np.ceil(1.2 * self.min_notional[symbol] / worth))
        most = np.minimum(self.max_lots[symbol], np.floor(0.8 * self.max_notional[symbol] / worth))
        return np.rint(np.minimum(np.maximum(lots, least), most)).astype(np.int64)


def limits(instruments: Sequence[Instrument]) -> Limits:
    return Limits(
        start=np.array([float(one.start_price_ticks) for one in instruments]),
        lowest=np.array([one.min_price_ticks for one in instruments]),
        highest=np.array([one.max_price_ticks for one in instruments]),
        unit=np.array([float(one.quote_units_per_tick_lot) for one in instruments]),
        min_lots=np.array([max(one.min_qty_lots, one.market_min_qty_lots) for one in instruments]),
        max_lots=np.array([min(one.max_qty_lots, one.market_max_qty_lots) for one in instruments]),
        min_notional=np.array([float(one.min_notional_units) for one in instruments]),
        max_notional=np.array([float(one.max_notional_units) for one in instruments]),
    )


class Grid:
    """Where the makers want their quotes now. Mirrored cell numbers: of the price times the ladder's sign."""

    def __init__(self, price: Floats, cell_share: Floats) -> None:
        self._share = cell_share
        self.cell = np.maximum(1, np.rint(price * cell_share)).astype(np.int64)
        """Ticks."""
        self.middle = price
        self.half_spread = np.full(len(price), HALF_SPREAD_CELLS)
        """Cells."""
        self._edge = self._edges()
        self.top = np.floor(self._edge).astype(np.int64)
        """[symbol, ladder]: the best cell."""

    def center(self, price: Floats, spread_factor: Floats) -> None:
        """Quote around `price` (ticks) from now on; `spread_factor`: multiples of the usual spread."""
        self.middle = price
        self.half_spread = HALF_SPREAD_CELLS * np.clip(spread_factor, MIN_SPREAD_FACTOR, MAX_SPREAD_FACTOR)
        wanted = np.maximum(1.0, price * self._share)
        stale = (wanted > self.cell * CELL_DRIFT) | (wanted * CELL_DRIFT < self.cell)
        self.cell = np.where(stale, np.rint(wanted).astype(np.int64), self.cell)
        self._edge = self._edges()
        left = (self._edge < self.top - HYSTERESIS_CELLS) | (self._edge > self.top + 1 + HYSTERESIS_CELLS)
        self.top = np.where(left | stale[:, None], np.floor(self._edge).astype(np.int64), self.top)

    def _edges(self) -> Floats:
        """[symbol, ladder]: mirrored price where the ladder begins, in its cells."""
        cells = self.middle / self.cell
        edges: Floats = (LADDER_SIGN * cells[:, None] - self.half_spread[:, None] - LADDER_OFFSET) / LADDER_CELLS
        return edges

    @property
    def quoted(self) -> Floats:
        """Middle of the best quotes, in ticks."""
        middle: Floats = 0.5 * self.cell * (self.top[:, 0] - self.top[:, 1])
        return middle

    def goals(self) -> Ints:
        """[symbol, maker place]: the mirrored cell in which the place's order should stand."""
        top = self.top[:, LADDER]
        return np.asarray(top - (top - RING) % LEVELS, np.int64)

    def ahead(self, price: Ints) -> npt.NDArray[np.bool_]:
        """[symbol, maker place]: the price has run over an order at `price`."""
        return np.asarray(self._mirrored_cell(price) > self.top[:, LADDER])

    def sizes(self, goals: Ints) -> Floats:
        """[symbol, maker place]: in typical levels."""
        return np.asarray(SHAPE[LADDER, self.top[:, LADDER] - goals])

    def urgency(self, goals: Ints, live: npt.NDArray[np.bool_], price: Ints, eaten: npt.NDArray[np.bool_]) -> Floats:
        """[symbol, maker place]: of a new order there, given what stands there now."""
        settled = live & (self._mirrored_cell(price) == goals)
        repair = np.where(live & self.ahead(price), AHEAD_URGENCY, 1.0)
        urgency = np.where(settled, np.where(eaten, THIN_URGENCY, REFRESH_URGENCY), repair)
        return np.asarray(urgency / (1.0 + DEPTH_PATIENCE * (self.top[:, LADDER] - goals)))

    def _mirrored_cell(self, price: Ints) -> Ints:
        return np.asarray((SIGN * price) // (self.cell[:, None] * CELLS), np.int64)

    def within(self, goals: Ints, lowest: Ints, highest: Ints) -> npt.NDArray[np.bool_]:
        """[symbol, maker place]: the goal lies inside the price filter."""
        width = self.cell[:, None] * CELLS
        price = SIGN * goals * width
        return np.asarray((price - width >= lowest[:, None]) & (price + width <= highest[:, None]))

    def price(self, symbol: Ints, place: Ints, goal: Ints, jitter: Floats) -> Ints:
        """A price in the cell `goal`, at `jitter` (0 to 1) of its width, not beyond half the half-spread."""
        width, sign = self.cell[symbol] * CELLS[place], SIGN[place]
        edge = sign * self.middle[symbol] - 0.5 * self.half_spread[symbol] * self.cell[symbol]
        inside = np.minimum(goal * width + np.floor(jitter * width), np.floor(edge)).astype(np.int64)
        return np.asarray(sign * np.maximum(goal * width, inside), np.int64)
