"""The ledger: balances, open orders and positions of one partition of accounts, as a fold over journals."""

from market.ledger.accounts import Ledger, warm
from market.ledger.partition import UnknownAccount

__all__ = ["Ledger", "UnknownAccount", "warm"]
