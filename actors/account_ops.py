"""What only an account partition's own journal knows: accounts opened, deposits, pauses, order lists. Pure.

Ops of one row apply as a whole, at the book positions that the row names, live and in every replay alike.
"""

from collections import Counter

import msgspec

from market.ledger import Ledger, UnknownAccount
from market.profile import TradingProfile
from market.records import COMMAND, Records, copied

decode_profile = msgspec.json.Decoder(TradingProfile).decode


class Op(msgspec.Struct, array_like=True):
    """One thing that only the account's own journal knows."""

    kind: str
    """open, post, forget, pause, list, unlist, amend, profile; reset is expanded before it is journaled"""
    account: int
    asset: int = -1
    """post; unlist: the Reason"""
    units: int = 0
    """post; pause: whether; unlist: the list id"""
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    quiet: bool = False
    """Simulated participants: no private history is kept for them."""
    name: bytes = b""
    """list: its client order id"""
    commands: bytes = b""
    """list: COMMAND[n], completed by the account; amend: the AMEND of a pending order"""
    profile: bytes = b""
    """profile: the `market.profile.TradingProfile` as JSON, checked before it was journaled"""


class OwnRow(msgspec.Struct, array_like=True):
    positions: list[int]
    """Per book partition: newest batch settled before the ops apply."""
    ops: list[Op]


def check_ops(ledger: Ledger, group: list[Op]) -> None:
    """ValueError or UnknownAccount unless the group applies as a whole, now and in every replay.

    Debits apply before credits and all posts of an asset meet one counterpart: what counts are the sums.
    """
    opened = {op.account for op in group if op.kind == "open" and not ledger.is_open(op.account)}
    debits: Counter[tuple[int, int]] = Counter()
    moved: Counter[int] = Counter()
    for op in group:
        if op.kind == "open":
            ledger.check_open(op.account)
        elif op.kind == "post":
            new = op.account in opened
            if op.units < 0:
                debits[op.account, op.asset] += op.units
                ledger.check_post(op.account, op.asset, debits[op.account, op.asset], new=new)
            else:
                moved[op.asset] += op.units
                ledger.check_post(op.account, op.asset, moved[op.asset], new=new)
        elif op.account not in opened and not ledger.is_open(op.account):
            raise UnknownAccount(op.account)


def apply_ops(ledger: Ledger, ops: list[Op], ts_ns: int, debits: bool = True, others: bool = True) -> list[Records]:
    """Apply the ops of one row: all debits first (held while the row is committed), then everything else."""
    made = []
    if debits:
        made += [ledger.post(op.account, op.asset, op.units, ts_ns) for op in ops if _is_debit(op)]
    for op in ops if others else ():
        if op.kind == "open":
            ledger.open(op.account, op.maker_fee_ppm, op.taker_fee_ppm)
        elif op.kind == "post" and not _is_debit(op):
            made.append(ledger.post(op.account, op.asset, op.units, ts_ns))
        elif op.kind == "forget":
            ledger.forget_positions(op.account)
        elif op.kind == "pause":
            ledger.pause(op.account, bool(op.units))
        elif op.kind == "profile":
            one = decode_profile(op.profile)
            ledger.set_profile(op.account, one.fees.maker_ppm, one.fees.taker_ppm, one.flags)
        elif op.kind == "list":
            ledger.place_list(op.name, copied(op.commands, COMMAND), ts_ns)
        elif op.kind == "amend":
            made.append(ledger.amend_pending(copied(op.commands, COMMAND), ts_ns))
        elif op.kind == "unlist":
            made.append(ledger.end_list(op.units, op.asset, ts_ns))
    return made


def _is_debit(op: Op) -> bool:
    return op.kind == "post" and op.units < 0
