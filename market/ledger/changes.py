"""What each kind of event does to one order of this partition: postings and the order's state.

Every posting has its counterpart in the rows of the house, so that all rows together stay zero per asset.

Must not know: commands, reports, other partitions.
"""

from typing import NamedTuple

from market.book.arithmetic import mul_div
from market.book.machine import Words, inlined, routine, signed
from market.enums import EventKind, ExecType, OrdStatus
from market.instrument import PPM
from market.ledger import layout as L
from market.ledger.asides import cum_of, open_aside, units_at_own_price
from market.ledger.blocks import balance_at, position_at
from market.ledger.locks import fit_lock, give_locked, lock, part, release_lots, units_to_lock
from market.ledger.orders import pays_for, rename
from market.ledger.positions import keep_buy, keep_sell
from market.ledger.records import EventRecord
from market.ledger.tables import Tables, aside_of, house_at, instrument_at, row_of, symbol_of
from market.ledger.terms import is_budgeted, is_buy, is_by_quote, is_plain, is_stop, ord_type_of
from market.reasons import Reason

_ACCEPTED = int(EventKind.ACCEPTED)
_TRADE = int(EventKind.TRADE)
_CANCELED = int(EventKind.CANCELED)
_EXPIRED = int(EventKind.EXPIRED)
_AMENDED = int(EventKind.AMENDED)
_PREVENTED = int(EventKind.PREVENTED)
_TRIGGERED = int(EventKind.TRIGGERED)
_TRACKING = int(EventKind.TRACKING)

_S_NEW = int(OrdStatus.NEW)
_S_PARTIALLY_FILLED = int(OrdStatus.PARTIALLY_FILLED)
_S_FILLED = int(OrdStatus.FILLED)
_S_CANCELED = int(OrdStatus.CANCELED)
_S_EXPIRED = int(OrdStatus.EXPIRED)
_S_EXPIRED_IN_MATCH = int(OrdStatus.EXPIRED_IN_MATCH)

_X_NEW = int(ExecType.NEW)
_X_TRADE = int(ExecType.TRADE)
_X_CANCELED = int(ExecType.CANCELED)
_X_EXPIRED = int(ExecType.EXPIRED)
_X_REPLACED = int(ExecType.REPLACED)
_X_TRADE_PREVENTION = int(ExecType.TRADE_PREVENTION)
_X_TRIGGERED = int(ExecType.TRIGGERED)
_X_TRACKING = int(ExecType.TRACKING)

_SELF_TRADE_PREVENTION = int(Reason.SELF_TRADE_PREVENTION)
_QUOTE_SPENT = int(Reason.QUOTE_SPENT)
_NO_ASSET = -1


class Leg(NamedTuple):
    """What an event says of one of the two orders that it may touch."""

    account: int
    order_id: int
    leaves: int
    """After the event."""
    fee_ppm: int
    maker: bool
    house: int
    """Row of the house where its trade has its counterpart."""


class Outcome(NamedTuple):
    """What an event did to one order."""

    exec_type: int
    status: int
    ends: bool
    fee: int
    fee_asset: int


# -- trades -------------------------------------------------------------------------------------------------


@inlined
def fee_of(amount: int, ppm: int) -> int:
    """floor(amount x ppm / 10^6) without leaving 64 bits."""
    return amount // PPM * ppm + amount % PPM * ppm // PPM


@inlined
def _receive(t: Tables, row: int, house: int, asset: int, units: int, ppm: int) -> int:
    """Post what a trade brings, without the commission, which it returns."""
    fee = fee_of(units, ppm)
    t.entries[balance_at(t, row, asset) + L.B_FREE] += units - fee
    t.house[house_at(t, L.ROW_FEES, asset)] += fee
    t.house[house_at(t, house, asset)] -= units
    return fee


@inlined
def _give(t: Tables, order: int, house: int, asset: int, units: int) -> None:
    """Post what a trade costs, out of what the order locks."""
    give_locked(t, order, asset, units)
    t.house[house_at(t, house, asset)] += units


@routine
def _bring(t: Tables, payee: int, units: int, fee: int) -> None:
    """Lock what the order received for the pending one. What is free is not looked at: a replay knows no pending orders."""
    lock(t, payee, units - fee)
    t.asides[aside_of(t, payee) + L.A_BROUGHT] += units - fee


@inlined
def _count_fill(t: Tables, order: int, lots: int, quote_units: int) -> None:
    """Of a plain order it follows from the leaves."""
    if not is_plain(t, order):
        aside = aside_of(t, order)
        t.asides[aside + L.A_CUM] += lots
        t.asides[aside + L.A_CUM_QUOTE] += quote_units


@routine
def _fill(t: Tables, order: int, lots: int, quote_units: int, ppm: int, house: int) -> tuple[int, int]:
    """Post one side of a trade; the commission and its asset."""
    row, symbol = row_of(t, order), symbol_of(t, order)
    instrument, position = instrument_at(symbol), position_at(t, row, symbol)
    base, quote = t.instruments[instrument + L.I_BASE], t.instruments[instrument + L.I_QUOTE]
    base_units = lots * t.instruments[instrument + L.I_BASE_PER_LOT]
    _count_fill(t, order, lots, quote_units)
    if is_buy(t, order):
        if not is_budgeted(t, order):
            improvement = units_to_lock(t, order, lots) - quote_units
            if improvement != 0:
                lock(t, order, -improvement)  # it goes back to free
        _give(t, order, house, quote, quote_units)
        fee = _receive(t, row, house, base, base_units, ppm)
        keep_buy(t.entries, position, base_units - fee, quote_units)
        payee = pays_for(t, order)
        if payee != 0:
            _bring(t, payee, base_units, fee)
        return fee, base
    _give(t, order, house, base, base_units)
    fee = _receive(t, row, house, quote, quote_units, ppm)
    keep_sell(t.entries, position, base_units, quote_units - fee)
    return fee, quote


# -- what each kind of event does to an order ---------------------------------------------------------------


@inlined
def _unpaid(exec_type: int, status: int, ends: bool) -> Outcome:
    return Outcome(exec_type, status, ends, signed(0), signed(_NO_ASSET))


@inlined
def _working(t: Tables, order: int) -> int:
    return _S_PARTIALLY_FILLED if cum_of(t, order) != 0 else _S_NEW


@inlined
def _price(t: Tables, order: int, price_ticks: int) -> None:
    """Of a pegged order, chosen by the book: from now on it locks like any other."""
    if price_ticks != 0 and t.orders[order + L.O_PRICE] == 0:
        t.orders[order + L.O_PRICE] = price_ticks
        fit_lock(t, order)


@inlined
def _accepted(t: Tables, order: int, event: EventRecord, ts_ns: int) -> Outcome:
    aside = aside_of(t, order)
    if t.asides[aside + L.A_LEADER] == 0:
        t.orders[order + L.O_CREATED] = ts_ns
    if not is_plain(t, order):
        lock(t, order, t.asides[aside + L.A_BORROW])
        t.asides[aside + L.A_BORROW] = 0
        if not is_stop(ord_type_of(t, order)):
            t.asides[aside + L.A_WORKING] = ts_ns
        elif t.asides[aside + L.A_STOP] == 0:
            t.asides[aside + L.A_TRACKING] = ts_ns
        _price(t, order, event.price_ticks)
    return _unpaid(_X_NEW, _S_NEW, False)


@inlined
def _triggered(t: Tables, order: int, event: EventRecord, ts_ns: int) -> Outcome:
    t.asides[aside_of(t, order) + L.A_WORKING] = ts_ns
    _price(t, order, event.price_ticks)
    return _unpaid(_X_TRIGGERED, _S_NEW, False)


@inlined
def _tracking(t: Tables, order: int, ts_ns: int) -> Outcome:
    t.asides[aside_of(t, order) + L.A_TRACKING] = ts_ns
    return _unpaid(_X_TRACKING, _S_NEW, False)


@inlined
def _traded(t: Tables, order: int, event: EventRecord, leg: Leg) -> Outcome:
    fee, asset = _fill(t, order, event.qty_lots, event.quote_units, leg.fee_ppm, leg.house)
    t.orders[order + L.O_LEAVES] = leg.leaves
    # An order by quote amount always ends with an event of its own (N8).
    ends = leg.leaves == 0 and not is_by_quote(t, order)
    return Outcome(_X_TRADE, _S_FILLED if ends else _S_PARTIALLY_FILLED, ends, fee, asset)


@inlined
def _decremented(t: Tables, order: int, event: EventRecord, leg: Leg) -> Outcome:
    release_lots(t, order, event.qty_lots)
    t.orders[order + L.O_LEAVES] = leg.leaves
    t.asides[aside_of(t, order) + L.A_PREVENTED] += event.qty_lots
    return _unpaid(_X_TRADE_PREVENTION, _working(t, order), False)


@inlined
def _amended(t: Tables, order: int, event: EventRecord, words: Words, name: int) -> Outcome:
    """`words` from `name` on: its new client order id, if any."""
    before = t.orders[order + L.O_LEAVES]
    if is_plain(t, order):
        release_lots(t, order, before - event.leaves_lots)
    t.orders[order + L.O_QTY] = event.qty_lots
    t.orders[order + L.O_LEAVES] = event.leaves_lots
    if not is_plain(t, order):
        aside = aside_of(t, order)
        t.asides[aside + L.A_DISPLAY] = min(t.asides[aside + L.A_DISPLAY], event.leaves_lots)
        if is_budgeted(t, order):  # an order without a price is amended while it waits: all of its budget is there
            budget = t.asides[aside + L.A_BUDGET]
            t.asides[aside + L.A_BUDGET] -= mul_div(budget, before - event.leaves_lots, before)
        fit_lock(t, order)
    if name >= 0:
        rename(t, order, words, name)
    return _unpaid(_X_REPLACED, _working(t, order), False)


@inlined
def _expired(t: Tables, order: int, reason: int) -> Outcome:
    status = _S_EXPIRED
    if reason == _SELF_TRADE_PREVENTION:
        status = _S_EXPIRED_IN_MATCH
        t.asides[aside_of(t, order) + L.A_PREVENTED] += t.orders[order + L.O_LEAVES]
    elif reason == _QUOTE_SPENT and cum_of(t, order) > 0:
        status = _S_FILLED
    return _unpaid(_X_EXPIRED, status, True)


# -- plain orders ---------------------------------------------------------------------------------------------


@inlined
def _stays_plain(t: Tables, order: int, event: EventRecord, leg: Leg) -> bool:
    """Whether all that is known of a plain order still follows from its row after the event."""
    kind, leaves = signed(event.kind), t.orders[order + L.O_LEAVES]
    if kind == _TRADE:
        at_own_price = event.quote_units == units_at_own_price(t, order, event.qty_lots)
        return at_own_price and leg.leaves == leaves - event.qty_lots
    if kind == _AMENDED:
        return event.qty_lots - event.leaves_lots == t.orders[order + L.O_QTY] - leaves
    if kind == _EXPIRED:
        return event.reason != _SELF_TRADE_PREVENTION
    return kind in (_ACCEPTED, _CANCELED)


@inlined
def _parts(event: EventRecord) -> bool:
    """Whether an order so told of is no longer one of a pair: the other one expires right after."""
    kind = signed(event.kind)
    return kind in (_TRADE, _TRIGGERED) or (kind == _PREVENTED and event.qty_lots != 0)


@inlined
def change(t: Tables, order: int, event: EventRecord, leg: Leg, ts_ns: int, words: Words, name: int) -> Outcome:
    kind = signed(event.kind)
    if is_plain(t, order):
        if not _stays_plain(t, order, event, leg):
            open_aside(t, order)
    elif t.asides[aside_of(t, order) + L.A_PARTNER] != 0 and _parts(event):
        part(t, order)
        fit_lock(t, order)
    if kind == _TRADE:
        return _traded(t, order, event, leg)
    if kind == _ACCEPTED:
        return _accepted(t, order, event, ts_ns)
    if kind == _CANCELED:
        return _unpaid(_X_CANCELED, _S_CANCELED, True)
    if kind == _PREVENTED:
        return _decremented(t, order, event, leg)
    if kind == _AMENDED:
        return _amended(t, order, event, words, name)
    if kind == _TRIGGERED:
        return _triggered(t, order, event, ts_ns)
    if kind == _TRACKING:
        return _tracking(t, order, ts_ns)
    return _expired(t, order, signed(event.reason))
