"""What an open order is: its row and, of one that is not plain, its aside.

Must not know: money, why an order opens or ends.
"""

from market.book.machine import inlined, signed
from market.enums import CommandFlag, OrdStatus, OrdType, Side
from market.ledger import layout as L
from market.ledger.tables import Tables, aside_of

_BUY = int(Side.BUY)
_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
_STOP_LOSS = int(OrdType.STOP_LOSS)
_STOP_LOSS_LIMIT = int(OrdType.STOP_LOSS_LIMIT)
_TAKE_PROFIT = int(OrdType.TAKE_PROFIT)
_TAKE_PROFIT_LIMIT = int(OrdType.TAKE_PROFIT_LIMIT)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)
_PENDING = int(OrdStatus.PENDING_NEW)
_BYTE = 255
_NO_STATUS = ~(L.STATUS_MASK << L.STATUS_BIT)


@inlined
def is_buy(t: Tables, order: int) -> bool:
    return t.orders[order + L.O_META] & L.SIDE_MASK == _BUY


@inlined
def ord_type_of(t: Tables, order: int) -> int:
    return (t.orders[order + L.O_META] >> L.ORD_TYPE_BIT) & _BYTE


@inlined
def has_no_limit(ord_type: int) -> bool:
    return ord_type in (_MARKET, _STOP_LOSS, _TAKE_PROFIT)


@inlined
def is_stop(ord_type: int) -> bool:
    return ord_type >= _STOP_LOSS


@inlined
def is_plain(t: Tables, order: int) -> bool:
    return t.orders[order + L.O_OWNER] >> 32 == 0


@inlined
def terms_of(t: Tables, order: int) -> int:
    return t.asides[aside_of(t, order) + L.A_TERMS]


@inlined
def is_budgeted(t: Tables, order: int) -> bool:
    """A BUY without a price yet: what it locks is not per lot."""
    if is_plain(t, order) or not is_buy(t, order):
        return False
    pegged = terms_of(t, order) & _BYTE != 0
    return has_no_limit(ord_type_of(t, order)) or (pegged and t.orders[order + L.O_PRICE] == 0)


@inlined
def list_role_of(t: Tables, order: int) -> int:
    return (terms_of(t, order) >> L.LIST_ROLE_BIT) & _BYTE


@inlined
def leader_of(t: Tables, order: int) -> int:
    """Id of the order by whose fill a pending order is placed; 0: it is none."""
    return t.asides[aside_of(t, order) + L.A_LEADER]


@inlined
def is_by_quote(t: Tables, order: int) -> bool:
    return (t.orders[order + L.O_META] >> L.FLAGS_BIT) & _BY_QUOTE != 0


@inlined
def status_of(t: Tables, order: int) -> int:
    return (t.orders[order + L.O_META] >> L.STATUS_BIT) & L.STATUS_MASK


@inlined
def is_pending(t: Tables, order: int) -> bool:
    """On its way to the book."""
    return status_of(t, order) == _PENDING


@inlined
def is_held(t: Tables, order: int) -> bool:
    """A pending order of a list that waits for its leader."""
    return status_of(t, order) == L.HELD


@inlined
def set_status(t: Tables, order: int, status: int) -> None:
    t.orders[order + L.O_META] = t.orders[order + L.O_META] & _NO_STATUS | signed(status) << L.STATUS_BIT


@inlined
def is_timed(ord_type: int) -> bool:
    """Whether the time in force means something; all other types are taken as GTC."""
    return ord_type in (_LIMIT, _STOP_LOSS_LIMIT, _TAKE_PROFIT_LIMIT)
