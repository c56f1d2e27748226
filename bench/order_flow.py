"""Seeded commands of many accounts in many symbols, a frame at a time, as arrays: for benchmarks below HTTP. Pure.

Of NEWs, `takes` are IOC and cross the spread for half of a mean order; the rest are GTC, rest up to 30 % away from the middle,
and the oldest are canceled when more than `resting` stand. Nothing is refused but a cancel of what was filled meanwhile.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from market.enums import CommandKind, ExecType, OrdStatus, Side, TimeInForce
from market.instrument import Instrument
from market.records import COMMAND, Records, joined, picked

NOTIONAL: Final = 12
"""USDT of a resting order, about."""
_DIGITS: Final = 10
_AWAY_PPM: Final = 300_000
_HALF_SPREAD_PPM: Final = 1_000
_PPM: Final = 1_000_000

Integers = npt.NDArray[np.int64]


class Flow:
    def __init__(
        self,
        instruments: Sequence[Instrument],
        accounts: range,
        takes: float = 0.1,
        resting: int = 100_000,
        seed: int = 1,
    ) -> None:
        self._dice = np.random.default_rng(seed)
        self._accounts = accounts
        self._takes = takes
        self._resting = resting
        self._middle = _column(instruments, "start_price_ticks")
        self._lot_value = np.array(
            [one.start_price_ticks * one.quote_units_per_tick_lot for one in instruments], np.int64
        )
        """Quote units of a lot at the middle."""
        self._quote_unit = np.array([10**one.quote.scale for one in instruments], np.int64)
        self._made = 0
        self._live: Records = np.zeros(0, COMMAND)
        """CANCELs of what rests, the oldest first."""
        self.orders = self.commands = 0

    def frame(self, count: int) -> Records:
        """COMMAND[n] with `count` NEWs and the cancels that are due, which come first."""
        due = max(0, len(self._live) - self._resting)
        cancels, self._live = self._live[:due], self._live[due:]
        news = self._news(count)
        self.orders += count
        self.commands += count + due
        return joined((cancels, news), COMMAND) if due else news

    def heard(self, told: Sequence[Records]) -> None:
        """REPORTs that answered: which of the new orders rest."""
        for reports in told:
            rest = picked(
                reports,
                (reports["exec_type"] == ExecType.NEW)
                & (reports["time_in_force"] == TimeInForce.GTC)
                & (reports["ord_status"] == OrdStatus.NEW),
            )
            cancels = np.zeros(len(rest), COMMAND)
            cancels["kind"] = CommandKind.CANCEL
            for field in ("symbol", "account", "order_id"):
                cancels[field] = rest[field]
            self._live = joined((self._live, cancels), COMMAND)

    def _news(self, count: int) -> Records:
        dice = self._dice
        made = np.zeros(count, COMMAND)
        symbol = dice.integers(0, len(self._middle), count)
        made["kind"], made["symbol"] = CommandKind.NEW, symbol
        made["account"] = dice.integers(self._accounts.start, self._accounts.stop, count)
        side = dice.integers(0, 2, count)
        takes = dice.random(count) < self._takes
        away = np.where(takes, -2 * _HALF_SPREAD_PPM, dice.integers(_HALF_SPREAD_PPM, _AWAY_PPM, count))
        # Half of what rests stands near the middle, as in a market.
        near = dice.random(count) < 0.5
        away = np.where(near & ~takes, _HALF_SPREAD_PPM + away // 30, away)
        sign = np.where(side == Side.BUY, -1, 1)
        price = np.maximum(1, self._middle[symbol] * (_PPM + sign * away) // _PPM)
        lot_value = np.maximum(1, self._lot_value[symbol] * price // self._middle[symbol])
        value = NOTIONAL * self._quote_unit[symbol] // np.where(takes, 2, 1)
        made["side"], made["price_ticks"], made["qty_lots"] = side, price, value // lot_value + 1
        made["time_in_force"] = np.where(takes, TimeInForce.IOC, TimeInForce.GTC)
        made["client_order_id"] = names(self._made, count)
        self._made += count
        return made


def names(first: int, count: int) -> Any:
    """Bytes of `o0000000000` on, as an array."""
    numbers = np.arange(first, first + count)[:, None] // 10 ** np.arange(_DIGITS - 1, -1, -1) % 10 + ord("0")
    text = np.empty((count, _DIGITS + 1), np.uint8)
    text[:, 0], text[:, 1:] = ord("o"), numbers
    return text.view(f"S{_DIGITS + 1}")[:, 0]


def _column(instruments: Sequence[Instrument], name: str) -> Integers:
    return np.array([getattr(one, name) for one in instruments], np.int64)
