"""What of the venue's order surface the account and the book take today.

The one place: `exchangeInfo` says so, and an order of another kind is refused with the venue's text for a symbol that
has it not enabled, before it costs anything.
"""

from typing import Final

STOPS: Final = False
"""STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT."""
TRAILING: Final = False
ICEBERG: Final = False
PEGGED: Final = False
OCO: Final = False
OTO: Final = False
"""OTO and OTOCO."""
OPO: Final = False
"""OPO and OPOCO."""
RESTRICTED_CANCELS: Final = False
"""The book itself looks at `cancelRestrictions`; else the gateway asks the account before it cancels."""
