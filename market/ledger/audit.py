"""The laws of one partition, looked at from outside: for tests, `raypit check` and the drift metric."""

import numpy as np

from market.enums import OrdType, Side, TimeInForce
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.tables import Array, Arrays


def drift(arrays: Arrays) -> Array:
    """int64[assets]: sum of all rows, free and locked; zero, or money was made or lost."""
    total: Array = arrays.balances.sum(axis=(0, 2))
    return total


def faults(arrays: Arrays) -> list[str]:
    """Broken laws, in words; empty when all is well. O(accounts + orders)."""
    live = arrays.orders[arrays.orders[:, L.O_ID] != 0]
    found = []
    if (money := drift(arrays)).any():
        found.append(f"postings do not sum to zero: {money.tolist()}")
    if (arrays.balances[L.SYSTEM_ROWS :] < 0).any():
        found.append("a balance is negative")
    if (live[:, L.O_RESERVED] < 0).any():
        found.append("an order reserves less than nothing")
    if (_reserved(arrays, live) != arrays.balances[:, :, L.B_LOCKED]).any():
        found.append("locked amounts differ from what open orders reserve")
    if np.count_nonzero(arrays.rows[:, L.R_STATE]) != arrays.header[L.H_OPEN]:
        found.append("the count of open accounts is wrong")
    return found + _structural_faults(arrays, live)


def _reserved(arrays: Arrays, live: Array) -> Array:
    """int64[accounts, assets]: what the open orders reserve together."""
    locked = np.zeros_like(arrays.balances[:, :, L.B_LOCKED])
    buys = live[:, L.O_META] & L.SIDE_MASK == Side.BUY
    asset_of = arrays.instruments[live[:, L.O_SYMBOL]]
    asset = np.where(buys, asset_of[:, L.I_QUOTE], asset_of[:, L.I_BASE])
    np.add.at(locked, (live[:, L.O_ROW], asset), live[:, L.O_RESERVED])
    return locked


def _structural_faults(arrays: Arrays, live: Array) -> list[str]:
    counts = np.zeros_like(arrays.counts)
    ord_type, time_in_force = ((live[:, L.O_META] >> bit) & 255 for bit in (L.ORD_TYPE_BIT, L.TIME_IN_FORCE_BIT))
    timed = (ord_type == OrdType.LIMIT) & (time_in_force != TimeInForce.GTC)
    never_rests = (ord_type == OrdType.MARKET) | timed
    weights = 1 + (never_rests.astype(np.int64) << L.NEVER_RESTS_BIT)
    np.add.at(counts, (live[:, L.O_ROW], live[:, L.O_SYMBOL]), weights)
    found = []
    if len(live) != arrays.header[L.H_LIVE]:
        found.append("the count of live orders is wrong")
    if (counts != arrays.counts).any() or (
        (counts & L.COUNT_MASK).sum(axis=1) != arrays.rows[:, L.R_OPEN_ORDERS]
    ).any():
        found.append("an account's count of open orders is wrong")
    if lost := kernels.count_lost(arrays):
        found.append(f"{lost} open orders are not found by their ids")
    return found
