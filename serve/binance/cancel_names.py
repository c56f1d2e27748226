"""What cancels were called by those who sent them: a canceled order is told with the name of its cancel beside its own.

Reports do not carry it. Known at the gateway that took the cancel; elsewhere, and where none was given, the name follows
from the execution, so that the answer and the event agree.
"""

from collections import OrderedDict
from typing import Final

from actors.wire import ReportRow
from market.enums import CommandKind, ExecType

KEPT: Final = 4096
_CANCELED: Final = int(ExecType.CANCELED)
_ALL: Final = int(CommandKind.CANCEL_ALL)


class CancelNames:
    """By order id: an order is canceled once, while its client order id may be another order's tomorrow."""

    def __init__(self) -> None:
        self._given: OrderedDict[tuple[int, int], str] = OrderedDict()

    def give(self, account: int, order_id: int, name: str) -> None:
        """Before a cancel is sent. One that is already on its way keeps its name."""
        self._given.setdefault((account, order_id), name)
        if len(self._given) > KEPT:
            self._given.popitem(last=False)

    def forget(self, account: int, order_id: int, name: str) -> None:
        """The cancel of that name was refused."""
        if self._given.get((account, order_id)) == name:
            del self._given[account, order_id]

    def of(self, row: ReportRow) -> str | None:
        """The cancel's name; None when the report tells of no cancel."""
        if row.exec_type != _CANCELED:
            return None
        given = None if row.command_kind == _ALL else self._given.get((row.account, row.order_id))
        return given or f"rpc-{row.symbol}-{row.exec_id}"
