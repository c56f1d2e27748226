"""The laws of one partition, looked at from outside: for tests, `raypit check` and the drift metric."""

from typing import NamedTuple

import numpy as np

from market.enums import OrdType, Side, TimeInForce
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.tables import Array, Arrays


class Owned(NamedTuple):
    """All entries in use."""

    rows: Array
    """Whose each is, ascending."""
    places: Array
    """Where in the pool."""
    codes: Array
    """Row and key in one number."""


def codes_of(rows: Array, keys: Array) -> Array:
    codes: Array = rows << L.COUNT_BIT | keys
    return codes


def owned(arrays: Arrays) -> Owned:
    """By account, then key."""
    blocks = arrays.rows[: int(arrays.header[L.H_ROWS]), L.R_BLOCK]
    owners = np.flatnonzero(blocks)
    firsts, sizes = blocks[owners] >> 32, blocks[owners] & L.LOW_HALF
    rows = np.repeat(owners, sizes)
    places = np.repeat(firsts - np.cumsum(sizes) + sizes, sizes) + np.arange(len(rows))
    keys = arrays.entries[places, L.E_KEY] & L.KEY_MASK
    rows, places, keys = rows[keys != 0], places[keys != 0], keys[keys != 0]
    codes = codes_of(rows, keys)
    order = np.argsort(codes, kind="stable")
    return Owned(rows[order], places[order], codes[order])


def held(arrays: Arrays) -> Array:
    """int64[assets]: what the accounts have together, free and locked."""
    sums: Array = np.zeros(arrays.house.shape[1], np.int64)
    kernels.add_balances(arrays.header, sums)
    return sums


def drift(arrays: Arrays) -> Array:
    """int64[assets]: sum of all rows, free and locked; zero, or money was made or lost."""
    total: Array = held(arrays) + arrays.house.sum(axis=0)
    return total


def live_orders(arrays: Arrays) -> Array:
    """The rows of open orders, by slot."""
    used: Array = arrays.orders[1 : 1 + int(arrays.header[L.H_USED])]
    live: Array = used[used[:, L.O_ID] != 0]
    return live


def symbols_of(orders: Array) -> Array:
    symbols: Array = (orders[:, L.O_META] >> L.SYMBOL_BIT) & L.SYMBOL_MASK
    return symbols


def faults(arrays: Arrays) -> list[str]:
    """Broken laws, in words; empty when all is well. O(accounts + orders)."""
    live, own = live_orders(arrays), owned(arrays)
    reserved, balances = _reserved_by(arrays, live), own.codes & 1 == 1
    found = []
    if (money := drift(arrays)).any():
        found.append(f"postings do not sum to zero: {money.tolist()}")
    if (arrays.entries[own.places[balances], L.B_FREE : L.B_LOCKED + 1] < 0).any():
        found.append("a balance is negative")
    if (reserved < 0).any():
        found.append("an order reserves less than nothing")
    if (_locked_by(arrays, live, reserved, own)[balances] != arrays.entries[own.places[balances], L.B_LOCKED]).any():
        found.append("locked amounts differ from what open orders reserve")
    if np.count_nonzero(arrays.rows[:, L.R_STATE]) != arrays.header[L.H_OPEN]:
        found.append("the count of open accounts is wrong")
    return found + _structural_faults(arrays, live, own)


def _reserved_by(arrays: Arrays, live: Array) -> Array:
    """int64[orders]: what each reserves."""
    buys, instruments = live[:, L.O_META] & L.SIDE_MASK == Side.BUY, arrays.instruments[symbols_of(live)]
    per_lot = np.where(
        buys, live[:, L.O_PRICE] * instruments[:, L.I_QUOTE_PER_TICK_LOT], instruments[:, L.I_BASE_PER_LOT]
    )
    aside = live[:, L.O_OWNER] >> 32
    reserved: Array = np.where(aside == 0, live[:, L.O_LEAVES] * per_lot, arrays.asides[aside, L.A_RESERVED])
    return reserved


def _summed(own: Owned, codes: Array, amounts: Array) -> Array:
    """int64[entries]: the amounts of orders, each at the entry that its code names."""
    sums, at = np.zeros(len(own.codes) + 1, np.int64), np.searchsorted(own.codes, codes)
    known = np.append(own.codes, -1)[at] == codes
    np.add.at(sums, np.where(known, at, len(own.codes)), amounts)
    if not known.all():
        raise ValueError("an open order's account has no entry for it")
    return sums[:-1]


def _locked_by(arrays: Arrays, live: Array, reserved: Array, own: Owned) -> Array:
    """int64[entries]: what the open orders reserve together."""
    buys = live[:, L.O_META] & L.SIDE_MASK == Side.BUY
    asset_of = arrays.instruments[symbols_of(live)]
    asset = np.where(buys, asset_of[:, L.I_QUOTE], asset_of[:, L.I_BASE])
    return _summed(own, codes_of(live[:, L.O_OWNER] & L.LOW_HALF, 2 * asset + 1), reserved)


def _structural_faults(arrays: Arrays, live: Array, own: Owned) -> list[str]:
    ord_type, time_in_force = ((live[:, L.O_META] >> bit) & 255 for bit in (L.ORD_TYPE_BIT, L.TIME_IN_FORCE_BIT))
    timed = (ord_type == OrdType.LIMIT) & (time_in_force != TimeInForce.GTC)
    never_rests = (ord_type == OrdType.MARKET) | timed
    weights = (1 << L.COUNT_BIT) + (never_rests.astype(np.int64) << L.NEVER_RESTS_BIT)
    counts = _summed(own, codes_of(live[:, L.O_OWNER] & L.LOW_HALF, 2 * symbols_of(live) + 2), weights)
    open_orders = np.zeros(len(arrays.rows), np.int64)
    np.add.at(open_orders, live[:, L.O_OWNER] & L.LOW_HALF, 1)
    asides, named = live[:, L.O_OWNER] >> 32, live[:, L.O_META] & L.NAMED != 0
    found = []
    if len(live) != arrays.header[L.H_LIVE]:
        found.append("the count of live orders is wrong")
    if np.count_nonzero(named) != arrays.header[L.H_NAMED]:
        found.append("the count of orders with a client order id is wrong")
    if len(np.unique(asides[asides != 0])) != np.count_nonzero(asides) or arrays.asides[0].any():
        found.append("two orders share an aside, or plain ones are not zeros")
    if arrays.entries[0].any():
        found.append("something was posted to nobody")
    counted = arrays.entries[own.places, L.E_KEY] & ~L.KEY_MASK
    if (counts != counted).any() or (open_orders != arrays.rows[:, L.R_OPEN_ORDERS]).any():
        found.append("an account's count of open orders is wrong")
    if lost := kernels.count_lost(arrays.header):
        found.append(f"{lost} open orders are not found by their ids")
    return found
