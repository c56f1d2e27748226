"""`Ledger`: the typed face of the compiled ledger; Python touches it once per batch, never per order.

Synchronous; knows no socket, no database, no clock. Laws it keeps (tested as properties): every posting sums to zero
per asset over all rows of all partitions; free and locked are never negative after a settled batch; the locked
amount of an account is the sum of what its open orders reserve.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.enums import CommandKind, ExecType, ListRole, OrdStatus, OrdType, Side
from market.instrument import INT_LIMIT, Instrument
from market.ledger import arrays as arrays_of
from market.ledger import audit, snapshot
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.listed import ListedOrders
from market.ledger.lists import OrderLists
from market.ledger.partition import Partition, UnknownAccount
from market.ledger.tables import Array, Records
from market.reasons import Reason
from market.records import COMMAND, EVENT, REPORT, copied, picked

MAX_ROWS: Final = 4_000_000
"""Accounts of one partition: a bound on what an account id can make us allocate."""
_REPORTS_PER_EVENT = 2
"""TRADE and PREVENTED: the taker's and the maker's."""
_NO_REPORTS: Records = np.zeros(0, REPORT)


class Ledger(ListedOrders):
    """Accounts of one partition. `account = row * partitions + partition`."""

    def __init__(self, instruments: Sequence[Instrument], partition: int = 0, partitions: int = 1) -> None:
        arrays = arrays_of.fresh(instruments, partition, partitions)
        super().__init__(arrays, OrderLists(), instruments)

    # -- commands ---------------------------------------------------------------------------------------------

    def admit(self, commands: Records, ts_ns: int) -> tuple[Records, Records]:
        """Reserve for each command in order.

        `commands`: COMMAND[n], writable; accepted ones get their order id, fees and budget in place.
        Returns (accepted COMMAND[a], refusals REPORT[n - a]); refusals answer their token and carry no seq.
        """
        flags = commands.flags
        assert flags.writeable
        assert flags.c_contiguous
        n = len(commands)
        self._make_order_room(n)
        reasons, done = np.empty(n, np.int64), 0
        while (done := kernels.admit(self._arrays.header, commands, ts_ns, reasons, done)) < n:
            self._make_entry_room()
        if not np.count_nonzero(reasons):
            return commands, _NO_REPORTS
        refused = reasons != 0
        return picked(commands, ~refused), self._refusals(picked(commands, refused), reasons[refused], ts_ns)

    def refuse(self, commands: Records, reason: Reason, ts_ns: int) -> Records:
        """REPORT[n] that refuses every command for one reason."""
        return self._refusals(_own(commands), np.full(len(commands), int(reason), np.int64), ts_ns)

    def settle(self, commands: Records, events: Records, ts_ns: int) -> Records:
        """Apply one committed batch of a book; returns REPORT[m] of this partition's accounts, in event order.

        ValueError when an event names a symbol, account or order that is not known: the batch is not this venue's,
        or one before it is missing; the ledger is then not to be used any more.
        """
        if len(self._reports) < _REPORTS_PER_EVENT * len(events):
            self._make_report_room(_REPORTS_PER_EVENT * len(events))
        self._make_order_room(len(events))
        told = self._settle(_own(commands), _own(events), ts_ns)
        if told < 0:
            raise ValueError(f"event {-1 - told} of the batch does not follow from what was settled before")
        reports = np.frombuffer(bytearray(self._report_bytes[: told * REPORT.itemsize]), REPORT)
        return self.lists.follow(reports, self) if len(self.lists) else reports

    def _settle(self, commands: Records, events: Records, ts_ns: int) -> int:
        """As the kernel, with as much room as it comes to need."""
        header, answered, told = self._arrays.header, np.zeros(len(commands), np.int64), 0
        header[L.H_DONE] = 0
        while True:
            told = kernels.settle(header, commands, events, ts_ns, self._reports, answered, told)
            if told < 0 or header[L.H_DONE] == len(events):
                return told
            self._make_entry_room()

    def drop_pending(self) -> int:
        """Release every order whose command no book journaled (after a recovery); returns how many."""
        return int(kernels.drop_pending(self._arrays.header))

    def set_available(self, symbol: int, available: bool) -> None:
        """While a symbol's book cannot be reached its orders are refused with BOOK_UNAVAILABLE."""
        self._arrays.instruments[symbol, L.I_AVAILABLE] = int(available)

    def set_last_price(self, symbol: int, price_ticks: int) -> None:
        """Sizes budgets of market orders before the first trade seen."""
        self._arrays.instruments[symbol, L.I_LAST] = price_ticks

    def last_prices(self) -> dict[int, int]:
        """Newest trade price (ticks) of every symbol that traded."""
        return {k: int(row[L.I_LAST]) for k, row in enumerate(self._arrays.instruments) if row[L.I_LAST]}

    # -- accounts ---------------------------------------------------------------------------------------------

    def open(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int) -> bool:
        """Open an account; False when it was open already (redelivery is harmless)."""
        self.check_open(account)
        row = account // self.partitions
        if row >= len(self._arrays.rows):
            self._arrays = arrays_of.with_rows(self._arrays, row + 1)
        own = self._arrays.rows[row]
        if own[L.R_STATE] & L.R_OPEN:
            return False
        own[L.R_STATE], own[L.R_MAKER_FEE], own[L.R_TAKER_FEE] = L.R_OPEN, maker_fee_ppm, taker_fee_ppm
        self._arrays.header[L.H_ROWS] = max(int(self._arrays.header[L.H_ROWS]), row + 1)
        self._arrays.header[L.H_OPEN] += 1
        return True

    def set_profile(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int, flags: int) -> None:
        """Fees and fill model (bits of `COMMAND.flags`) of the account's later orders."""
        columns = [L.R_MAKER_FEE, L.R_TAKER_FEE, L.R_FLAGS]
        self._arrays.rows[self._row(account), columns] = maker_fee_ppm, taker_fee_ppm, flags

    def fees(self, account: int) -> tuple[int, int]:
        """Maker's and taker's, in ppm."""
        row = self._arrays.rows[self._row(account)]
        return int(row[L.R_MAKER_FEE]), int(row[L.R_TAKER_FEE])

    def check_open(self, account: int) -> None:
        """UnknownAccount unless this partition can own the account."""
        row = account // self.partitions
        if account % self.partitions != self.partition or not L.SYSTEM_ROWS <= row < MAX_ROWS:
            raise UnknownAccount(account)

    def check_post(self, account: int, asset: int, units: int, new: bool = False) -> None:
        """What `post` raises, without posting; `new`: the account is about to be opened."""
        if not 0 <= asset < len(self.assets):
            raise ValueError(f"there is no asset {asset}")
        name = self.assets[asset].name
        free = 0 if new else int(self._balance(self._row(account), asset)[L.B_FREE])
        outside = int(self._arrays.house[L.ROW_EXTERNAL, asset])
        if free + units < 0:
            raise ValueError(f"account has {free} free units of {name}, {-units} asked for")
        # Trades can bring all units of all partitions to one account.
        if abs(outside - units) >= INT_LIMIT // self.partitions:
            raise ValueError(f"the sum of all {name} would not fit; lower the amount")

    def post(self, account: int, asset: int, units: int, ts_ns: int) -> Records:
        """Deposit (units > 0) or withdraw (< 0) free funds against the outside; returns the BALANCE report [1].

        Raises ValueError when the account has less free or a sum would leave 62 bits.
        """
        self.check_post(account, asset, units)
        row = self._row(account)
        balance, arrays = self._kept_balance(row, asset), self._arrays
        balance[L.B_FREE] += units
        arrays.house[L.ROW_EXTERNAL, asset] -= units
        arrays.rows[row, L.R_SEQ] += 1
        report = np.zeros(1, REPORT)
        report["exec_type"] = ExecType.BALANCE
        report["symbol"] = -1
        report["account"] = account
        report["commission_asset"] = -1
        report["asset"] = asset
        report["last_quote_units"] = units
        report["seq"] = arrays.rows[row, L.R_SEQ]
        report["ts_ns"] = ts_ns
        report["partition"] = self.partition
        report["base_free"], report["base_locked"] = balance[L.B_FREE], balance[L.B_LOCKED]
        return report

    def forget_positions(self, account: int) -> None:
        """Start average cost and realised profit anew (after a reset)."""
        keys, entries = self._block(self._row(account))
        entries[_are_symbols(keys), L.P_QTY :] = 0

    def pause(self, account: int, paused: bool) -> None:
        """A paused account may only cancel."""
        self._arrays.rows[self._row(account), L.R_STATE] = L.R_OPEN | (L.R_PAUSED if paused else 0)

    def is_open(self, account: int) -> bool:
        try:
            self._row(account)
        except UnknownAccount:
            return False
        return True

    def is_paused(self, account: int) -> bool:
        return bool(self._arrays.rows[self._row(account), L.R_STATE] & L.R_PAUSED)

    def seq(self, account: int) -> int:
        """Number of the account's newest private report."""
        return int(self._arrays.rows[self._row(account), L.R_SEQ])

    def balances(self, account: int) -> Array:
        """int64[assets, 2]: free and locked units."""
        keys, entries = self._block(self._row(account))
        balances, mine = np.zeros((len(self.assets), 2), np.int64), keys & 1 == 1
        balances[keys[mine] >> 1] = entries[mine, L.B_FREE : L.B_LOCKED + 1]
        return balances

    def positions(self, account: int) -> Array:
        """int64[symbols, 3]: base units held, quote units paid for them, realised quote units."""
        keys, entries = self._block(self._row(account))
        positions, mine = np.zeros((len(self.instruments), 3), np.int64), _are_symbols(keys)
        positions[(keys[mine] >> 1) - 1] = entries[mine, L.P_QTY :]
        return positions

    def open_orders(self, account: int, symbol: int = -1) -> Records:
        """REPORT[n] of open orders, newest first; only order fields are set."""
        row = self._row(account)
        slots = np.empty(int(self._arrays.rows[row, L.R_OPEN_ORDERS]), np.int64)
        told = self._tell(slots[: kernels.open_slots(self._arrays.header, row, symbol, slots)])
        # After a recovery they are linked as the books accepted them, which is not always as they were admitted.
        ordered: Records = told[np.argsort(told["order_id"])[::-1]]
        return ordered

    def open_symbols(self, account: int) -> list[int]:
        """Symbols in which the account has open orders."""
        keys, entries = self._block(self._row(account))
        busy = _are_symbols(keys) & (entries[:, L.E_KEY] >> L.COUNT_BIT != 0)
        return sorted(((keys[busy] >> 1) - 1).tolist())

    def accounts(self) -> list[int]:
        """Every open account."""
        rows = np.flatnonzero(self._arrays.rows[:, L.R_STATE])
        return [int(row) * self.partitions + self.partition for row in rows]

    @property
    def account_count(self) -> int:
        """Open accounts, without listing them."""
        return int(self._arrays.header[L.H_OPEN])

    @property
    def live_orders(self) -> int:
        return int(self._arrays.header[L.H_LIVE])

    # -- laws -------------------------------------------------------------------------------------------------

    def drift(self) -> Array:
        """int64[assets]: sum of all rows, free and locked; zero, or money was made or lost."""
        return audit.drift(self._arrays)

    def clearing(self) -> Array:
        """int64[assets]: counterparts of other partitions; sums to zero over the partitions at equal book positions."""
        return _copy(self._arrays.house[L.ROW_CLEARING])

    def totals(self) -> dict[str, Array]:
        """What the accounts hold and each row of the house, int64[assets]; all together come to zero.

        `external`: minus what was deposited and not withdrawn. `outside_market`: the other side of what was traded with
        real venues' liquidity.
        """
        house = self._arrays.house
        return {
            "accounts": audit.held(self._arrays),
            "fees": house[L.ROW_FEES].copy(),
            "external": house[L.ROW_EXTERNAL].copy(),
            "outside_market": house[L.ROW_OUTSIDE].copy(),
            "clearing": house[L.ROW_CLEARING].copy(),
        }

    def faults(self) -> list[str]:
        """Broken laws, in words; empty when all is well. O(accounts + orders): for tests and `raypit check`."""
        return audit.faults(self._arrays)

    # -- snapshots --------------------------------------------------------------------------------------------

    def copy(self) -> "Ledger":
        """An independent ledger in the same state."""
        twin = Ledger.__new__(Ledger)
        Partition.__init__(twin, arrays_of.copied(self._arrays), self.lists.copy(), self.instruments)
        return twin

    def settled(self) -> "Ledger":
        """A copy without the orders still on their way: what the journals alone say."""
        twin = self.copy()
        twin.drop_pending()
        return twin

    def snapshot(self) -> bytes:
        """The settled state as bytes, with a checksum."""
        return snapshot.encode(self.settled()._arrays, self.lists, self.instruments)

    @classmethod
    def restore(cls, instruments: Sequence[Instrument], data: bytes) -> "Ledger":
        """The ledger of `snapshot`'s bytes; ValueError when they are damaged or of other instruments.

        Instruments may have been appended since.
        """
        arrays, lists = snapshot.decode(data, instruments)
        ledger = cls.__new__(cls)
        Partition.__init__(ledger, arrays, lists, instruments)
        return ledger

    def digest(self) -> str:
        """Hex digest of the logical settled state, whatever the slots, capacities and hash seeds."""
        return snapshot.digest((self.settled() if self._has_pending() else self)._arrays, self.lists)

    def _has_pending(self) -> bool:
        status = audit.live_orders(self._arrays)[:, L.O_META] >> L.STATUS_BIT & L.STATUS_MASK
        return bool((status == OrdStatus.PENDING_NEW).any())


def _own(records: Records) -> Records:
    """As the kernels are compiled for: contiguous and writable, as records come out of frames."""
    flags = records.flags
    return records if flags.c_contiguous and flags.writeable else copied(records.tobytes(), records.dtype)


def _are_symbols(keys: Array) -> NDArray[np.bool_]:
    """Of a block's keys, those of what an account has in a symbol."""
    symbols: NDArray[np.bool_] = (keys & 1 == 0) & (keys != 0)
    return symbols


def _copy(array: Any) -> Array:
    copied: Array = array.copy()
    return copied


def warm(instruments: Sequence[Instrument]) -> None:
    """Compile (or load from numba's cache) every kernel with the types of the running system."""
    ledger = Ledger(instruments[:1])
    ledger.open(L.SYSTEM_ROWS, 0, 0)
    ledger.post(L.SYSTEM_ROWS, 0, 1, 0)
    ledger.admit(np.zeros(1, COMMAND), 0)
    ledger.settle(np.zeros(1, COMMAND), np.zeros(0, EVENT), 0)
    _warm_lists(ledger)
    ledger.open_order(L.SYSTEM_ROWS, client_order_id=b"x")
    ledger.open_orders(L.SYSTEM_ROWS)
    ledger.faults()
    Ledger.restore(instruments[:1], ledger.snapshot())


def _warm_lists(ledger: Ledger) -> None:
    commands = np.zeros(2, COMMAND)
    commands["kind"], commands["account"], commands["ord_type"] = CommandKind.NEW, L.SYSTEM_ROWS, OrdType.LIMIT
    commands["side"], commands["list_role"] = (Side.BUY, Side.SELL), ListRole.MEMBER
    refused = ledger.admit_list(b"", commands, 0)
    assert not len(refused), refused["reason"]
    ledger.place_list(b"", commands, 0)
    amend = commands[1:].copy()
    amend["kind"], amend["client_order_id"] = CommandKind.AMEND, b"renamed"
    ledger.why_not_amended(amend)
    ledger.amend_pending(amend, 0)
    for one in ledger.lists:
        ledger.place_pending(one)
    ledger.drop_pending()
    for list_id in ledger.lists.never_started():
        ledger.end_list(list_id, Reason.NEVER_ACCEPTED, 0)
