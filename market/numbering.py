"""How accounts are numbered: partition p of P owns the accounts congruent to p modulo P, in row account // P."""

from typing import Final

SYSTEM_ROWS: Final = 8
"""The first rows of every partition are the house's own (fees, the outside, clearing, reserve)."""


def account_of(user_id: int, partitions: int) -> int:
    """The trading account of a user."""
    return SYSTEM_ROWS * partitions + user_id


def user_of(account: int, partitions: int) -> int:
    return account - SYSTEM_ROWS * partitions


OUTSIDE_ACCOUNT: Final = -1
"""Whose is what a real venue shows and trades (`market/book/SEMANTICS.md`, outside liquidity). No partition owns it; what
users trade with it is posted to ROW_OUTSIDE of their own partition."""
