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
    def __init__(self) -> None:
        self._given: OrderedDict[tuple[int, int | str], str] = OrderedDict()

    def give(self, account: int, order: int | str, name: str | None) -> None:
        """Before a cancel is sent; `order` is the order id or client order id that it names."""
        self._given.pop((account, order), None)
        if name is not None:
            self._given[account, order] = name
            if len(self._given) > KEPT:
                self._given.popitem(last=False)

    def of(self, row: ReportRow) -> str | None:
        """The cancel's name; None when the report tells of no cancel."""
        if row.exec_type != _CANCELED:
            return None
        if row.command_kind != _ALL:
            own = row.client_order_id.rstrip(b"\0").decode("latin-1")
            given = self._given.get((row.account, row.order_id)) or self._given.get((row.account, own))
            if given is not None:
                return given
        return f"rpc-{row.symbol}-{row.exec_id}"
