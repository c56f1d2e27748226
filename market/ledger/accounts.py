"""`Ledger`: the typed face of the compiled ledger; Python touches it once per batch, never per order.

Synchronous; knows no socket, no database, no clock. Laws it keeps (tested as properties): every posting sums to zero
per asset over all rows of all partitions; free and locked are never negative after a settled batch; the locked
amount of an account is the sum of what its open orders reserve.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from market.enums import CommandKind, ExecType, ListRole, OrdType, Side
from market.instrument import INT_LIMIT, Instrument, assets_of
from market.ledger import arrays as arrays_of
from market.ledger import audit, snapshot
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.lists import OrderList, OrderLists
from market.ledger.tables import Array, Arrays, Records
from market.reasons import Reason
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, EVENT, REPORT, copied, joined, picked

MAX_ROWS: Final = 4_000_000
"""Accounts of one partition: a bound on what an account id can make us allocate."""
EXEC_IDS_OF_LISTS: Final = 1 << 52
"""Plus the report's own number: executions that no book knows, above all of a book's and exact in a float."""
_FIRST_REPORTS = 512
_REPORTS_PER_EVENT = 2
"""TRADE and PREVENTED: the taker's and the maker's."""
_NO_REPORTS: Records = np.zeros(0, REPORT)
_NO_CLIENT_ID: Array = np.zeros(L.CLIENT_ID_WORDS, np.int64)


class UnknownAccount(KeyError):
    """The account is not of this partition or was never opened."""


class Ledger:
    """Accounts of one partition. `account = row * partitions + partition`."""

    def __init__(self, instruments: Sequence[Instrument], partition: int = 0, partitions: int = 1) -> None:
        arrays = arrays_of.fresh(instruments, partition, partitions)
        self._take_over(arrays, OrderLists(), instruments, partition, partitions)

    def _take_over(
        self, arrays: Arrays, lists: OrderLists, instruments: Sequence[Instrument], partition: int, partitions: int
    ) -> None:
        self.instruments = list(instruments)
        self.assets = assets_of(instruments)
        self.asset_ids = {asset.name: k for k, asset in enumerate(self.assets)}
        self.partition = partition
        self.partitions = partitions
        self.lists = lists
        self._arrays = arrays
        self._make_report_room(_FIRST_REPORTS)

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
        reasons = np.empty(n, np.int64)
        if not kernels.admit(self._arrays, commands, ts_ns, reasons):
            return commands, _NO_REPORTS
        refused = reasons != 0
        return picked(commands, ~refused), self._refusals(picked(commands, refused), reasons[refused], ts_ns)

    def refuse(self, commands: Records, reason: Reason, ts_ns: int) -> Records:
        """REPORT[n] that refuses every command for one reason."""
        return self._refusals(_own(commands), np.full(len(commands), int(reason), np.int64), ts_ns)

    def _refusals(self, commands: Records, reasons: Array, ts_ns: int) -> Records:
        reports = np.empty(len(commands), REPORT)
        kernels.refuse(commands, reasons, reports)
        reports["ts_ns"] = ts_ns
        reports["partition"] = self.partition
        return reports

    def settle(self, commands: Records, events: Records, ts_ns: int) -> Records:
        """Apply one committed batch of a book; returns REPORT[m] of this partition's accounts, in event order.

        ValueError when an event names a symbol, account or order that is not known: the batch is not this venue's,
        or one before it is missing; the ledger is then not to be used any more.
        """
        if len(self._reports) < _REPORTS_PER_EVENT * len(events):
            self._make_report_room(_REPORTS_PER_EVENT * len(events))
        self._make_order_room(len(events))
        told = kernels.settle(
            self._arrays, _own(commands), _own(events), ts_ns, self._reports, np.zeros(len(commands), np.int64)
        )
        if told < 0:
            raise ValueError(f"event {-1 - told} of the batch does not follow from what was settled before")
        reports = np.frombuffer(bytearray(self._report_bytes[: told * REPORT.itemsize]), REPORT)
        return self.lists.follow(reports, self) if len(self.lists) else reports

    def drop_pending(self) -> int:
        """Release every order whose command no book journaled (after a recovery); returns how many."""
        return int(kernels.drop_pending(self._arrays))

    def set_available(self, symbol: int, available: bool) -> None:
        """While a symbol's book cannot be reached its orders are refused with BOOK_UNAVAILABLE."""
        self._arrays.instruments[symbol, L.I_AVAILABLE] = int(available)

    def set_last_price(self, symbol: int, price_ticks: int) -> None:
        """Sizes budgets of market orders before the first trade seen."""
        self._arrays.instruments[symbol, L.I_LAST] = price_ticks

    def last_prices(self) -> dict[int, int]:
        """Newest trade price (ticks) of every symbol that traded."""
        return {k: int(row[L.I_LAST]) for k, row in enumerate(self._arrays.instruments) if row[L.I_LAST]}

    # -- order lists ------------------------------------------------------------------------------------------

    def admit_list(self, name: bytes, commands: Records, ts_ns: int) -> Records:
        """Reserve for an order list, all of it or nothing: REPORT[0], or REPORT[n] that refuse each of its orders.

        `name`: its client order id. `commands`: COMMAND[n], writable, the working order first; completed in place.
        What was admitted is on its way only after `place_list`.
        """
        self._make_order_room(len(commands))
        reasons = np.zeros(len(commands), np.int64)
        first = commands[0]
        account, symbol = int(first["account"]), int(first["symbol"])
        if not kernels.admit_list(self._arrays, commands, ts_ns, reasons):
            return self._refusals(commands, reasons, ts_ns)
        reason = Reason.NONE
        if self.lists.is_named(account, name.rstrip(b"\0")):
            reason = Reason.DUPLICATE_LIST_CLIENT_ORDER_ID
        elif self.lists.count(account, symbol) >= self.instruments[symbol].max_num_order_lists:
            reason = Reason.MAX_NUM_ORDER_LISTS
        if reason == Reason.NONE:
            return _NO_REPORTS
        for order_id in commands["order_id"].tolist():
            self.end(account, order_id)
        return self._refusals(commands, np.full(len(commands), int(reason), np.int64), ts_ns)

    def place_list(self, name: bytes, commands: Records, ts_ns: int) -> None:
        """A journaled list: it is followed from now on, and its pending orders wait."""
        self._make_order_room(len(commands))
        if commands[0]["list_role"] != ListRole.OCO_FIRST:
            kernels.hold_pending(self._arrays, commands, ts_ns)
        self.lists.place(name, commands, ts_ns)

    def place_pending(self, one: OrderList) -> tuple[Records, Reason]:
        """The turn of a list's pending orders: COMMAND[n] for the book, or why they cannot be placed.

        COMMAND[0] when they no longer wait.
        """
        commands = one.commands()
        commands["token"] = commands["gateway"] = 0
        row = self._row(one.account)
        slot = kernels.find(self._arrays, row, one.order_ids[1], _NO_CLIENT_ID)
        if not slot or int(self._arrays.orders[slot, L.O_META]) >> L.STATUS_BIT != L.HELD:
            return commands[:0], Reason.NONE
        if not commands["qty_lots"][0]:
            commands["qty_lots"] = self._lots_brought(one, slot)
        return commands, Reason(kernels.place_pending(self._arrays, commands))

    def _lots_brought(self, one: OrderList, slot: int) -> int:
        """What the working order bought; without its commission, unless other funds cover that."""
        arrays, instrument = self._arrays, self.instruments[one.symbol]
        brought = int(arrays.orders[slot, L.O_BROUGHT])
        base = int(arrays.instruments[one.symbol, L.I_BASE])
        free = int(arrays.balances[self._row(one.account), base, L.B_FREE])
        whole = one.filled_lots * instrument.base_units_per_lot <= brought + free
        return one.filled_lots if whole else brought // instrument.base_units_per_lot

    def why_not_amended(self, command: Records) -> Reason:
        """AMEND[1] of a pending order of a list that waits: NONE, or why it cannot be."""
        row, order_id = self._row(int(command["account"][0])), int(command["order_id"][0])
        slot = kernels.find(self._arrays, row, order_id, _NO_CLIENT_ID)
        if not slot or int(self._arrays.orders[slot, L.O_META]) >> L.STATUS_BIT != L.HELD:
            return Reason.ORDER_PENDING
        namesake = kernels.find(self._arrays, row, 0, _words(command))
        if namesake and namesake != slot:
            return Reason.DUPLICATE_CLIENT_ORDER_ID
        lots, total = int(command["qty_lots"][0]), int(self._arrays.orders[slot, L.O_QTY])
        if not 0 < lots < total:
            return Reason.AMEND_NOT_REDUCED
        one = self.instruments[int(self._arrays.orders[slot, L.O_SYMBOL])]
        return Reason.NONE if lots >= one.min_qty_lots else Reason.LOT_SIZE

    def amend_pending(self, command: Records, ts_ns: int) -> Records:
        """A journaled AMEND[1] of a pending order: both of a pair get the new quantity. REPORT[m]."""
        account, order_id = int(command["account"][0]), int(command["order_id"][0])
        row, orders = self._row(account), self._arrays.orders
        slot = kernels.find(self._arrays, row, order_id, _NO_CLIENT_ID)
        one = self.lists.get(int(orders[slot, L.O_LIST])) if slot else None
        if one is None:
            return _NO_REPORTS
        for member in one.amended_with(order_id):
            at = kernels.find(self._arrays, row, member, _NO_CLIENT_ID)
            orders[at, [L.O_QTY, L.O_LEAVES]] = command["qty_lots"][0]
            orders[at, L.O_DISPLAY] = min(orders[at, L.O_DISPLAY], command["qty_lots"][0])
        if command["client_order_id"][0]:
            kernels.rename_order(self._arrays, slot, _words(command))
        return joined(self.lists.amend(one, command, self, ts_ns), REPORT)

    def end_list(self, list_id: int, reason: int, ts_ns: int) -> Records:
        """Journaled: its pending orders cannot be placed, or no book ever saw its first order; REPORT[m]."""
        told = self.lists.end(list_id, reason, self, ts_ns)
        return joined(told, REPORT) if told else _NO_REPORTS

    def told(self, account: int, order_id: int) -> Records:
        """REPORT[1] of an open order, without number and balances."""
        reports = self.open_order(account, order_id)
        reports["partition"] = self.partition
        return reports

    def end(self, account: int, order_id: int) -> None:
        """Of an order that no book has."""
        kernels.end_order(self._arrays, kernels.find(self._arrays, self._row(account), order_id, _NO_CLIENT_ID))

    def sign(self, account: int, symbol: int, reports: Records, ts_ns: int) -> None:
        """Number REPORT[n] on the account's private stream and tell its balances."""
        row, arrays = self._row(account), self._arrays
        first = int(arrays.rows[row, L.R_SEQ]) + 1
        arrays.rows[row, L.R_SEQ] += len(reports)
        reports["seq"] = np.arange(first, first + len(reports))
        reports["account"], reports["partition"], reports["ts_ns"] = account, self.partition, ts_ns
        reports["exec_id"] = EXEC_IDS_OF_LISTS + reports["seq"]
        base, quote = arrays.instruments[symbol, [L.I_BASE, L.I_QUOTE]]
        reports["base_free"], reports["base_locked"] = arrays.balances[row, base]
        reports["quote_free"], reports["quote_locked"] = arrays.balances[row, quote]

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
        free = 0 if new else int(self._arrays.balances[self._row(account), asset, L.B_FREE])
        outside = int(self._arrays.balances[L.ROW_EXTERNAL, asset, L.B_FREE])
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
        row, arrays = self._row(account), self._arrays
        arrays.balances[row, asset, L.B_FREE] += units
        arrays.balances[L.ROW_EXTERNAL, asset, L.B_FREE] -= units
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
        report["base_free"], report["base_locked"] = arrays.balances[row, asset]
        return report

    def forget_positions(self, account: int) -> None:
        """Start average cost and realised profit anew (after a reset)."""
        self._arrays.positions[self._row(account)] = 0

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
        return _copy(self._arrays.balances[self._row(account)])

    def positions(self, account: int) -> Array:
        """int64[symbols, 3]: base units held, quote units paid for them, realised quote units."""
        return _copy(self._arrays.positions[self._row(account)])

    def open_orders(self, account: int, symbol: int = -1) -> Records:
        """REPORT[n] of open orders, newest first; only order fields are set."""
        row = self._row(account)
        slots = np.empty(int(self._arrays.rows[row, L.R_OPEN_ORDERS]), np.int64)
        told = self._tell(slots[: kernels.open_slots(self._arrays, row, symbol, slots)])
        # After a recovery they are linked as the books accepted them, which is not always as they were admitted.
        ordered: Records = told[np.argsort(told["order_id"])[::-1]]
        return ordered

    def open_order(self, account: int, order_id: int = 0, client_order_id: bytes = b"") -> Records:
        """REPORT[0 or 1] of one open order, by either id."""
        row = self._row(account)
        words = _NO_CLIENT_ID
        if not order_id:
            words = np.frombuffer(bytearray(client_order_id.ljust(CLIENT_ORDER_ID_BYTES, b"\0")), np.int64)
        slot = kernels.find(self._arrays, row, order_id, words)
        return self._tell(np.array([slot] if slot else [], np.int64))

    def open_symbols(self, account: int) -> list[int]:
        """Symbols in which the account has open orders."""
        return [int(k) for k in np.flatnonzero(self._arrays.counts[self._row(account)])]

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
        return _copy(self._arrays.balances[L.ROW_CLEARING, :, L.B_FREE])

    def totals(self) -> dict[str, Array]:
        """What the accounts hold and each row of the house, int64[assets]; all together come to zero.

        `external`: minus what was deposited and not withdrawn. `outside_market`: the other side of what was traded with
        real venues' liquidity.
        """
        balances = self._arrays.balances
        return {
            "accounts": balances[L.SYSTEM_ROWS :].sum(axis=(0, 2)),
            "fees": balances[L.ROW_FEES].sum(axis=1),
            "external": balances[L.ROW_EXTERNAL].sum(axis=1),
            "outside_market": balances[L.ROW_OUTSIDE].sum(axis=1),
            "clearing": balances[L.ROW_CLEARING].sum(axis=1),
        }

    def faults(self) -> list[str]:
        """Broken laws, in words; empty when all is well. O(accounts + orders): for tests and `raypit check`."""
        return audit.faults(self._arrays)

    # -- snapshots --------------------------------------------------------------------------------------------

    def copy(self) -> "Ledger":
        """An independent ledger in the same state."""
        twin = Ledger.__new__(Ledger)
        arrays = arrays_of.copied(self._arrays)
        twin._take_over(arrays, self.lists.copy(), self.instruments, self.partition, self.partitions)
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
        ledger._take_over(arrays, lists, instruments, *arrays_of.partition_of(arrays))
        return ledger

    def digest(self) -> str:
        """Hex digest of the logical settled state, whatever the slots, capacities and hash seeds."""
        return snapshot.digest((self.settled() if self._has_pending() else self)._arrays, self.lists)

    # -- inside -----------------------------------------------------------------------------------------------

    @property
    def _table(self) -> Array:
        """int64[symbols, INSTRUMENT_WORDS]"""
        return self._arrays.instruments

    def _has_pending(self) -> bool:
        orders = self._arrays.orders
        return bool(((orders[:, L.O_ID] != 0) & (orders[:, L.O_META] >> L.STATUS_BIT == 0)).any())

    def _row(self, account: int) -> int:
        row = account // self.partitions
        rows = self._arrays.rows
        inside = account >= 0 and account % self.partitions == self.partition and row < len(rows)
        if not inside or not rows[row, L.R_STATE] & L.R_OPEN:
            raise UnknownAccount(account)
        return int(row)

    def _tell(self, slots: Array) -> Records:
        reports = np.empty(len(slots), REPORT)
        kernels.tell_orders(self._arrays, slots, reports)
        return reports

    def _make_order_room(self, more: int) -> None:
        need = int(self._arrays.header[L.H_LIVE]) + more
        if need >= len(self._arrays.orders):
            self._arrays = arrays_of.with_slots(self._arrays, need)

    def _make_report_room(self, rows: int) -> None:
        self._reports: Records = np.zeros(2 * rows, REPORT)
        self._report_bytes = self._reports.view(np.uint8).data


def _words(command: Records) -> Array:
    """The client order id of COMMAND[1]."""
    return np.frombuffer(bytearray(bytes(command["client_order_id"][0]).ljust(CLIENT_ORDER_ID_BYTES, b"\0")), np.int64)


def _own(records: Records) -> Records:
    """As the kernels are compiled for: contiguous and writable, as records come out of frames."""
    flags = records.flags
    return records if flags.c_contiguous and flags.writeable else copied(records.tobytes(), records.dtype)


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
