"""Flows in which a venue's levels come, go, cross and print among users' orders of every kind."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from market.enums import FILL_MODEL_BIT, OUTSIDE_EDGE, CommandKind, ListRole
from market.instrument import PPM, Instrument
from market.numbering import OUTSIDE_ACCOUNT
from tests.reference.build import HOSTILE_INTS, TINY, commands, random_flow

Row = dict[str, Any]

OPEN = msgspec.structs.replace(
    TINY,
    min_qty_lots=1,
    min_notional_units=1,
    bid_multiplier_up_ppm=20 * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=20 * PPM,
    ask_multiplier_down_ppm=0,
    max_trailing_above_bips=9999,
    max_trailing_below_bips=9999,
)
PRICES, QUANTITIES = [8, 9, 10, 11, 12, 13], [1, 2, 3, 4]

OUTSIDE_SHARES = {
    CommandKind.OUTSIDE_LEVEL: 0.62,
    CommandKind.OUTSIDE_QUOTE: 0.1,
    CommandKind.OUTSIDE_TRADE: 0.25,
    CommandKind.OUTSIDE_CLEAR: 0.02,
    CommandKind.OUTSIDE_STATUS: 0.01,
}


def hybrid_flow(
    seed: int,
    count: int,
    instrument: Instrument = OPEN,
    prices: Sequence[int] = PRICES,
    quantities: Sequence[int] = QUANTITIES,
    hostile: float = 0.0,
    outside: float = 0.5,
) -> np.ndarray:
    """`random_flow` with fill models, of which the share `outside` is the venue's. No pair is cut."""
    rng = np.random.default_rng(seed)
    flow = random_flow(seed, count, instrument, prices, quantities, hostile, special=0.25, pairs=0.03)
    flow["flags"] |= (rng.choice(4, count, p=(0.4, 0.2, 0.2, 0.2)) << FILL_MODEL_BIT).astype(np.uint8)
    in_pair = (flow["list_role"] == ListRole.OCO_FIRST) | (flow["list_role"] == ListRole.OCO_SECOND)
    for place in np.flatnonzero((rng.random(count) < outside) & ~in_pair):
        flow[place] = commands([_outside_row(rng, prices, quantities, hostile)])[0]
    return flow


def _outside_row(rng: np.random.Generator, prices: Sequence[int], quantities: Sequence[int], hostile: float) -> Row:
    kind = CommandKind(int(rng.choice(list(OUTSIDE_SHARES), p=list(OUTSIDE_SHARES.values()))))
    side, empty = int(rng.integers(0, 2)), rng.random() < 0.2
    # Bids prefer the low, asks the high prices; now and then they cross.
    drawn = sorted(rng.integers(0, len(prices), 2))
    price = prices[int(drawn[side])]
    qty = (
        int(rng.choice(quantities)) * int(rng.integers(1, 4)) if max(quantities) < 1000 else int(rng.choice(quantities))
    )
    row: Row = {"kind": kind, "account": OUTSIDE_ACCOUNT, "side": side, "price_ticks": price, "qty_lots": qty}
    if kind == CommandKind.OUTSIDE_LEVEL:
        row |= {"qty_lots": 0 if empty else qty, "flags": OUTSIDE_EDGE if rng.random() < 0.25 else 0}
    elif kind == CommandKind.OUTSIDE_QUOTE and empty:
        row |= {"qty_lots": 0, "price_ticks": 0}
    elif kind == CommandKind.OUTSIDE_TRADE:
        row["price_ticks"] = prices[int(rng.integers(0, len(prices)))]
    elif kind == CommandKind.OUTSIDE_STATUS:
        row["qty_lots"] = int(rng.random() < 0.8)
    if rng.random() < hostile:
        name = str(rng.choice(("side", "flags", "account", "price_ticks", "qty_lots")))
        small = name in ("side", "flags")
        row[name] = int(rng.integers(0, 256)) if small else 1 if name == "account" else int(rng.choice(HOSTILE_INTS))
    return row
