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
    live = live_orders(arrays)
    reserved = _reserved_by(arrays, live)
    found = []
    if (money := drift(arrays)).any():
        found.append(f"postings do not sum to zero: {money.tolist()}")
    if (arrays.balances[L.SYSTEM_ROWS :] < 0).any():
        found.append("a balance is negative")
    if (reserved < 0).any():
        found.append("an order reserves less than nothing")
    if (_locked_by(arrays, live, reserved) != arrays.balances[:, :, L.B_LOCKED]).any():
        found.append("locked amounts differ from what open orders reserve")
    if np.count_nonzero(arrays.rows[:, L.R_STATE]) != arrays.header[L.H_OPEN]:
        found.append("the count of open accounts is wrong")
    return found + _structural_faults(arrays, live)


def _reserved_by(arrays: Arrays, live: Array) -> Array:
    """int64[orders]: what each reserves."""
    buys, instruments = live[:, L.O_META] & L.SIDE_MASK == Side.BUY, arrays.instruments[symbols_of(live)]
    per_lot = np.where(
        buys, live[:, L.O_PRICE] * instruments[:, L.I_QUOTE_PER_TICK_LOT], instruments[:, L.I_BASE_PER_LOT]
    )
    aside = live[:, L.O_OWNER] >> 32
    reserved: Array = np.where(aside == 0, live[:, L.O_LEAVES] * per_lot, arrays.asides[aside, L.A_RESERVED])
    return reserved


def _locked_by(arrays: Arrays, live: Array, reserved: Array) -> Array:
    """int64[accounts, assets]: what the open orders reserve together."""
    locked = np.zeros_like(arrays.balances[:, :, L.B_LOCKED])
    buys = live[:, L.O_META] & L.SIDE_MASK == Side.BUY
    asset_of = arrays.instruments[symbols_of(live)]
    asset = np.where(buys, asset_of[:, L.I_QUOTE], asset_of[:, L.I_BASE])
    np.add.at(locked, (live[:, L.O_OWNER] & L.LOW_HALF, asset), reserved)
    return locked


def _structural_faults(arrays: Arrays, live: Array) -> list[str]:
    counts = np.zeros_like(arrays.counts)
    ord_type, time_in_force = ((live[:, L.O_META] >> bit) & 255 for bit in (L.ORD_TYPE_BIT, L.TIME_IN_FORCE_BIT))
    timed = (ord_type == OrdType.LIMIT) & (time_in_force != TimeInForce.GTC)
    never_rests = (ord_type == OrdType.MARKET) | timed
    weights = 1 + (never_rests.astype(np.int64) << L.NEVER_RESTS_BIT)
    np.add.at(counts, (live[:, L.O_OWNER] & L.LOW_HALF, symbols_of(live)), weights)
    asides, named = live[:, L.O_OWNER] >> 32, live[:, L.O_META] & L.NAMED != 0
    found = []
    if len(live) != arrays.header[L.H_LIVE]:
        found.append("the count of live orders is wrong")
    if np.count_nonzero(named) != arrays.header[L.H_NAMED]:
        found.append("the count of orders with a client order id is wrong")
    if len(np.unique(asides[asides != 0])) != np.count_nonzero(asides) or arrays.asides[0].any():
        found.append("two orders share an aside, or plain ones are not zeros")
    if (counts != arrays.counts).any() or (
        (counts & L.COUNT_MASK).sum(axis=1) != arrays.rows[:, L.R_OPEN_ORDERS]
    ).any():
        found.append("an account's count of open orders is wrong")
    if lost := kernels.count_lost(arrays.header):
        found.append(f"{lost} open orders are not found by their ids")
    return found
