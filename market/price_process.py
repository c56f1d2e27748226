"""The fair price of every symbol: what the simulated participants believe a unit is worth, moving by itself.

Log prices diffuse with stochastic volatility (two mean-reverting log-volatility factors, minutes and hours,
which give fat tails and slowly decaying autocorrelation of absolute returns), share one market factor, and
jump now and then; a jump raises volatility for a while. A weak pull towards the start price keeps years of
simulation inside the price filters. Floats are fine here: nothing of it is money. Must not know orders,
books or accounts.

Sources: log-normal Ornstein-Uhlenbeck volatility: L. Scott (1987), Option pricing when the variance changes
randomly; two time scales: J.-P. Fouque et al. (2003), Multiscale stochastic volatility asymptotics; jumps:
R. Merton (1976), Option pricing when underlying stock returns are discontinuous; self-excitation: A. Hawkes
(1971), Spectra of some self-exciting and mutually exciting point processes; one market factor: W. Sharpe
(1963), A simplified model for portfolio analysis; the facts to meet: R. Cont (2001), Empirical properties
of asset returns. The parameters were set beside one-minute candles of eight Binance pairs (May 2025).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

YEAR_S = 365.0 * 86_400.0
MAX_SUBSTEP_S = 30.0
"""Volatility is held constant within a substep; well below the fastest factor's memory."""

VOLATILITY_MEMORY_S = (600.0, 28_800.0)
"""Time constants of the two log-volatility factors."""
LOG_VOLATILITY_SD = (0.43, 0.46)
"""Their stationary standard deviations."""
COMMON_VOLATILITY = 0.65
"""Part of a symbol's log-volatility variance that is the market's."""

JUMPS_PER_DAY = 5.0
"""Of each symbol, and of the market as a whole."""
JUMP_DAYS = 0.004
"""Variance of one jump, in days of the variance of the time."""
JUMP_EXCITEMENT = 0.4
"""Added to the fast log-volatility by a jump."""
MAX_LOG_VOLATILITY = 1.6
"""Of the two factors together: volatility never passes five times its usual level."""

PULL_HALF_LIFE_S = YEAR_S / 2
"""Of the distance to the start price."""
FILTER_MARGIN = 2.0
"""The fair price keeps this factor away from the lowest and highest price of the filters."""


class FairPrices:
    """Fair prices in ticks of S symbols, advanced together."""

    def __init__(
        self,
        start: Floats,
        anchor: Floats,
        lowest: Floats,
        highest: Floats,
        annual_volatility: Floats,
        market_share: Floats,
        rng: np.random.Generator,
    ) -> None:
        """Arrays have one entry per symbol, prices are in ticks; `market_share` is the part of a symbol's
        variance that the market factor explains. `start`: the price now; `anchor`: where it is pulled to."""
        self._rng = rng
        self._floor = np.log(lowest) + np.log(FILTER_MARGIN)
        self._ceiling = np.log(highest) - np.log(FILTER_MARGIN)
        self._log_price = np.clip(np.log(start), self._floor, self._ceiling)
        self._log_anchor = np.log(anchor)
        self._annual = annual_volatility
        self._on_market = np.sqrt(market_share)
        self._own = np.sqrt(1.0 - market_share)
        # Row 0 is the market, row 1 + i symbol i; columns are the two factors.
        self._factors = rng.standard_normal((len(start) + 1, 2)) * np.array(LOG_VOLATILITY_SD)

    @property
    def ticks(self) -> Floats:
        """The fair price of each symbol, in ticks, > 0."""
        prices: Floats = np.exp(self._log_price)
        return prices

    @property
    def agitation(self) -> Floats:
        """Each symbol's volatility now, in multiples of its usual one."""
        return self._multipliers()[1:]

    def advance(self, seconds: float) -> None:
        """Let `seconds` >= 0 pass."""
        whole = int(seconds // MAX_SUBSTEP_S)
        for _ in range(whole):
            self._substep(MAX_SUBSTEP_S)
        rest = seconds - whole * MAX_SUBSTEP_S
        if rest > 0:
            self._substep(rest)

    def _substep(self, dt: float) -> None:
        multipliers = self._multipliers()
        shocks = multipliers * np.sqrt(dt / YEAR_S) * self._rng.standard_normal(len(multipliers))
        shocks += multipliers * self._jumps(dt)
        pull = np.log(2.0) / PULL_HALF_LIFE_S * dt
        self._log_price += self._annual * (self._on_market * shocks[0] + self._own * shocks[1:])
        self._log_price += pull * (self._log_anchor - self._log_price)
        np.clip(self._log_price, self._floor, self._ceiling, out=self._log_price)
        self._turn_volatility(dt)

    def _jumps(self, dt: float) -> Floats:
        """Sums of jumps in units of the annual volatility; each jump also excites its row's fast factor."""
        counts = self._rng.poisson(JUMPS_PER_DAY * dt / 86_400.0, len(self._factors))
        if not counts.any():
            return np.zeros(len(counts))
        self._factors[:, 0] += JUMP_EXCITEMENT * counts
        size = np.sqrt(JUMP_DAYS * 86_400.0 / YEAR_S)
        jumped: Floats = size * np.sqrt(counts) * self._rng.standard_normal(len(counts))
        return jumped

    def _turn_volatility(self, dt: float) -> None:
        """Exact step of the Ornstein-Uhlenbeck factors."""
        kept = np.exp(-dt / np.array(VOLATILITY_MEMORY_S))
        noise = np.array(LOG_VOLATILITY_SD) * np.sqrt(1.0 - kept * kept)
        self._factors = self._factors * kept + noise * self._rng.standard_normal(self._factors.shape)

    def _multipliers(self) -> Floats:
        """Volatility multipliers with mean square 1, market first."""
        level = self._factors.sum(axis=1)
        level[1:] = np.sqrt(COMMON_VOLATILITY) * level[0] + np.sqrt(1.0 - COMMON_VOLATILITY) * level[1:]
        variance = sum(sd * sd for sd in LOG_VOLATILITY_SD)
        multipliers: Floats = np.exp(np.minimum(level, MAX_LOG_VOLATILITY) - variance)
        return multipliers
