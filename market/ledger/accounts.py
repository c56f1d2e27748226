"""`Ledger`: the typed face of the compiled ledger. Owns the arrays, grows them, copies them for snapshots.

Synchronous; knows no socket, no database, no clock. Laws it keeps (tested as properties): every posting sums to zero
per asset over all rows of all partitions; free and locked are never negative after a settled batch; the locked
amount of an account is the sum of what its open orders reserve.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from market.enums import ExecType, OrdStatus
from market.instrument import INT_LIMIT, Instrument, assets_of
from market.ledger import kernel
from market.ledger.layout import (
    H_LIVE,
    H_NEXT_ORDER,
    H_PARTITION,
    H_PARTITIONS,
    H_ROWS,
    HEADER_WORDS,
    I_AVAILABLE,
    I_BASE,
    I_BASE_PER_LOT,
    I_LAST,
    I_MAX_NUM_ORDERS,
    I_QUOTE,
    I_QUOTE_PER_TICK_LOT,
    INSTRUMENT_WORDS,
    O_ID,
    O_NEXT,
    O_RESERVED,
    O_ROW,
    ORDER_WORDS,
    POSITION_WORDS,
    R_HEAD,
    R_MAKER_FEE,
    R_OPEN,
    R_PAUSED,
    R_SEQ,
    R_STATE,
    R_TAKER_FEE,
    ROW_CLEARING,
    ROW_EXTERNAL,
    ROW_WORDS,
    SYSTEM_ROWS,
)
from market.reasons import Reason
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, EVENT, REPORT

Array = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

_WORDS_PER_COMMAND = COMMAND.itemsize // 8
_WORDS_PER_REPORT = REPORT.itemsize // 8
MAX_ROWS: Final = 4_000_000
"""Accounts of one partition: a bound on what an account id can make us allocate."""
_FIRST_ROWS = 64
_FIRST_ORDERS = 1024
_MAGIC = "raypit-ledger-1"


class UnknownAccount(KeyError):
    """The account is not of this partition or was never opened."""


class _Head(msgspec.Struct):
    magic: str
    partition: int
    partitions: int
    symbols: list[str]
    shapes: dict[str, list[int]]
    digest: str


class Ledger:
    """Accounts of one partition. `account = row * partitions + partition`."""

    def __init__(self, instruments: Sequence[Instrument], partition: int = 0, partitions: int = 1) -> None:
        self.instruments = list(instruments)
        self.assets = assets_of(instruments)
        self.asset_ids = {asset.name: k for k, asset in enumerate(self.assets)}
        self.partition = partition
        self.partitions = partitions
        symbols = len(self.instruments)
        self._header = np.zeros(HEADER_WORDS, np.int64)
        self._header[H_NEXT_ORDER] = 1
        self._header[H_PARTITION] = partition
        self._header[H_PARTITIONS] = partitions
        self._header[H_ROWS] = SYSTEM_ROWS
        self._rows = np.zeros((_FIRST_ROWS, ROW_WORDS), np.int64)
        self._counts = np.zeros((_FIRST_ROWS, symbols), np.int32)
        self._balances = np.zeros((_FIRST_ROWS, len(self.assets), 2), np.int64)
        self._positions = np.zeros((_FIRST_ROWS, symbols, POSITION_WORDS), np.int64)
        self._table = np.zeros((symbols, INSTRUMENT_WORDS), np.int64)
        for k, one in enumerate(self.instruments):
            self._table[k, I_BASE] = self.asset_ids[one.base.name]
            self._table[k, I_QUOTE] = self.asset_ids[one.quote.name]
            self._table[k, I_QUOTE_PER_TICK_LOT] = one.quote_units_per_tick_lot
            self._table[k, I_BASE_PER_LOT] = one.base_units_per_lot
            self._table[k, I_MAX_NUM_ORDERS] = one.max_num_orders
            self._table[k, I_AVAILABLE] = 1
        self._orders = np.zeros((_FIRST_ORDERS, ORDER_WORDS), np.int64)
        self._reports = np.zeros(256, REPORT)
        self._reindex()

    # -- commands ---------------------------------------------------------------------------------------------

    def admit(self, commands: Records, ts_ns: int) -> tuple[Records, Records]:
        """Reserve for each command in order.

        `commands`: COMMAND[n], writable; accepted ones get their order id, fees and budget in place.
        Returns (accepted COMMAND[a], refusals REPORT[n - a]); refusals answer their token and carry no seq.
        """
        n = len(commands)
        self._grow_orders(n)
        reasons = np.zeros(n, np.int64)
        kernel.admit(
            self._header,
            self._rows,
            self._counts,
            self._orders,
            self._ids,
            self._cids,
            self._balances,
            self._table,
            commands,
            _words(commands, _WORDS_PER_COMMAND),
            ts_ns,
            reasons,
        )
        if not reasons.any():
            return commands, np.zeros(0, REPORT)
        refused = reasons != 0
        return commands[~refused], self._refusals(commands[refused], reasons[refused], ts_ns)

    def refuse(self, commands: Records, reason: Reason, ts_ns: int) -> Records:
        """REPORT[n] that refuses every command for one reason."""
        return self._refusals(commands, np.full(len(commands), int(reason), np.int64), ts_ns)

    def _refusals(self, commands: Records, reasons: Array, ts_ns: int) -> Records:
        out = np.zeros(len(commands), REPORT)
        is_order = (commands["kind"] == 0) | (commands["kind"] == 2)
        out["exec_type"] = np.where(is_order, ExecType.REJECTED, ExecType.CANCEL_REJECTED)
        out["ord_status"] = OrdStatus.REJECTED
        out["reason"] = reasons
        for name in (
            "side",
            "ord_type",
            "time_in_force",
            "stp_mode",
            "flags",
            "symbol",
            "account",
            "order_id",
            "price_ticks",
            "qty_lots",
            "token",
            "gateway",
            "client_order_id",
        ):
            out[name] = commands[name]
        out["orig_order_id"] = commands["target_id"]
        out["command_kind"] = commands["kind"]
        out["commission_asset"] = -1
        out["asset"] = -1
        out["last"] = 1
        out["ts_ns"] = ts_ns
        out["partition"] = self.partition
        return out

    def settle(self, commands: Records, events: Records, ts_ns: int) -> Records:
        """Apply one committed batch of a book; returns REPORT[m] of this partition's accounts, in event order."""
        need = 2 * len(events)
        if need > len(self._reports):
            self._reports = np.zeros(need * 2, REPORT)
        self._grow_orders(len(events))
        reports = self._reports
        n = kernel.settle(
            self._header,
            self._rows,
            self._counts,
            self._orders,
            self._ids,
            self._cids,
            self._balances,
            self._positions,
            self._table,
            commands,
            _words(commands, _WORDS_PER_COMMAND),
            events,
            ts_ns,
            reports,
            _words(reports, _WORDS_PER_REPORT),
            np.zeros(len(commands), np.int64),
        )
        return reports[:n].copy()

    def drop_pending(self) -> int:
        """Release every order whose command no book journaled (after a recovery); returns how many."""
        return int(
            kernel.drop_pending(
                self._header,
                self._rows,
                self._counts,
                self._orders,
                self._ids,
                self._cids,
                self._balances,
                self._table,
            )
        )

    def set_available(self, symbol: int, available: bool) -> None:
        """While a symbol's book cannot be reached its orders are refused with BOOK_UNAVAILABLE."""
        self._table[symbol, I_AVAILABLE] = int(available)

    def set_last_price(self, symbol: int, price_ticks: int) -> None:
        """Sizes budgets of market orders before the first trade seen."""
        self._table[symbol, I_LAST] = price_ticks

    def last_prices(self) -> dict[int, int]:
        """Newest trade price (ticks) of every symbol that traded."""
        return {k: int(row[I_LAST]) for k, row in enumerate(self._table) if row[I_LAST]}

    # -- accounts ---------------------------------------------------------------------------------------------

    def open(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int) -> bool:
        """Open an account; False when it was open already (redelivery is harmless)."""
        self.check_open(account)
        row = account // self.partitions
        self._grow_rows(row + 1)
        if self._rows[row, R_STATE] & R_OPEN:
            return False
        self._rows[row, R_STATE] = R_OPEN
        self._rows[row, R_MAKER_FEE] = maker_fee_ppm
        self._rows[row, R_TAKER_FEE] = taker_fee_ppm
        self._header[H_ROWS] = max(int(self._header[H_ROWS]), row + 1)
        return True

    def check_open(self, account: int) -> None:
        """UnknownAccount unless this partition can own the account."""
        row = account // self.partitions
        if account % self.partitions != self.partition or not SYSTEM_ROWS <= row < MAX_ROWS:
            raise UnknownAccount(account)

    def check_post(self, account: int, asset: int, units: int, new: bool = False) -> None:
        """What `post` raises, without posting; `new`: the account is about to be opened."""
        if not 0 <= asset < len(self.assets):
            raise ValueError(f"there is no asset {asset}")
        free = 0 if new else int(self._balances[self._row(account), asset, 0])
        outside = int(self._balances[ROW_EXTERNAL, asset, 0])
        if free + units < 0:
            raise ValueError(f"account has {free} free units of {self.assets[asset].name}, {-units} asked for")
        if free + units >= INT_LIMIT or abs(outside - units) >= INT_LIMIT:
            raise ValueError(f"the sum of all {self.assets[asset].name} would not fit; lower the amount")

    def post(self, account: int, asset: int, units: int, ts_ns: int) -> Records:
        """Deposit (units > 0) or withdraw (< 0) free funds against the outside; returns the BALANCE report [1].

        Raises ValueError when the account has less free or a sum would leave 62 bits.
        """
        self.check_post(account, asset, units)
        row = self._row(account)
        self._balances[row, asset, 0] += units
        self._balances[ROW_EXTERNAL, asset, 0] -= units
        self._rows[row, R_SEQ] += 1
        report = np.zeros(1, REPORT)
        report["exec_type"] = ExecType.BALANCE
        report["symbol"] = -1
        report["account"] = account
        report["commission_asset"] = -1
        report["asset"] = asset
        report["last_quote_units"] = units
        report["seq"] = self._rows[row, R_SEQ]
        report["ts_ns"] = ts_ns
        report["partition"] = self.partition
        report["base_free"], report["base_locked"] = self._balances[row, asset]
        return report

    def forget_positions(self, account: int) -> None:
        """Start average cost and realised profit anew (after a reset)."""
        self._positions[self._row(account)] = 0

    def pause(self, account: int, paused: bool) -> None:
        row = self._row(account)
        self._rows[row, R_STATE] = R_OPEN | (R_PAUSED if paused else 0)

    def is_open(self, account: int) -> bool:
        try:
            self._row(account)
        except UnknownAccount:
            return False
        return True

    def is_paused(self, account: int) -> bool:
        return bool(self._rows[self._row(account), R_STATE] & R_PAUSED)

    def seq(self, account: int) -> int:
        """Number of the account's newest private report."""
        return int(self._rows[self._row(account), R_SEQ])

    def balances(self, account: int) -> Array:
        """int64[assets, 2]: free and locked units."""
        return self._balances[self._row(account)].copy()

    def positions(self, account: int) -> Array:
        """int64[symbols, 3]: base units held, quote units paid for them, realised quote units."""
        return self._positions[self._row(account)].copy()

    def open_orders(self, account: int, symbol: int = -1) -> Records:
        """REPORT[n] of open orders, newest first; only order fields are set."""
        return self._tell(list(self._slots(self._row(account), symbol)), account)

    def open_order(self, account: int, order_id: int = 0, client_order_id: bytes = b"") -> Records:
        """REPORT[0 or 1] of one open order, by either id."""
        row = self._row(account)
        if order_id:
            slot = int(kernel.find_id(self._ids, self._orders, order_id))
        else:
            words = np.frombuffer(client_order_id.ljust(CLIENT_ORDER_ID_BYTES, b"\0"), np.int64).copy()
            slot = int(kernel.find_cid(self._cids, self._orders, row, words, 0))
        if slot and self._orders[slot, O_ROW] == row:
            return self._tell([slot], account)
        return np.zeros(0, REPORT)

    def open_symbols(self, account: int) -> list[int]:
        """Symbols in which the account has open orders."""
        return [int(k) for k in np.flatnonzero(self._counts[self._row(account)])]

    def accounts(self) -> list[int]:
        """Every open account."""
        rows = np.flatnonzero(self._rows[:, R_STATE])
        return [int(row) * self.partitions + self.partition for row in rows]

    @property
    def live_orders(self) -> int:
        return int(self._header[H_LIVE])

    def drift(self) -> Array:
        """int64[assets]: sum of all rows, free and locked; zero, or money was made or lost."""
        total: Array = self._balances.sum(axis=(0, 2))
        return total

    def clearing(self) -> Array:
        """int64[assets]: counterparts of other partitions; sums to zero over the partitions at equal book positions."""
        return self._balances[ROW_CLEARING, :, 0].copy()

    def totals(self) -> dict[str, Array]:
        """What the accounts hold, the house's fees and the outside's balance, each int64[assets]."""
        return {
            "accounts": self._balances[SYSTEM_ROWS:].sum(axis=(0, 2)),
            "fees": self._balances[0].sum(axis=1),
            "outside": self._balances[ROW_EXTERNAL].sum(axis=1),
            "clearing": self._balances[ROW_CLEARING].sum(axis=1),
        }

    def faults(self) -> list[str]:
        """Broken laws, in words; empty when all is well. O(accounts + orders): for tests and `raypit check`."""
        found = []
        if (drift := self.drift()).any():
            found.append(f"postings do not sum to zero: {drift.tolist()}")
        if (self._balances[SYSTEM_ROWS:] < 0).any():
            found.append("a balance is negative")
        live = self._orders[self._orders[:, O_ID] != 0]
        if len(live) != self.live_orders:
            found.append("the count of live orders is wrong")
        locked = np.zeros_like(self._balances[:, :, 1])
        for order in live:
            side = order[3] & 255
            asset = self._table[order[2], I_QUOTE if side == 0 else I_BASE]
            locked[order[O_ROW], asset] += order[O_RESERVED]
        if (locked != self._balances[:, :, 1]).any():
            found.append("locked amounts differ from what open orders reserve")
        return found

    # -- snapshots --------------------------------------------------------------------------------------------

    def copy(self) -> "Ledger":
        """An independent ledger in the same state."""
        twin = object.__new__(Ledger)
        twin.__dict__ = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}
        return twin

    def settled(self) -> "Ledger":
        """A copy without the orders still on their way: what the journals alone say."""
        twin = self.copy()
        twin.drop_pending()
        return twin

    def snapshot(self) -> bytes:
        """The settled state as bytes: a header (msgpack) and the arrays."""
        twin = self.settled()
        arrays = twin._arrays()
        head = _Head(
            _MAGIC,
            self.partition,
            self.partitions,
            [one.symbol for one in self.instruments],
            {name: list(array.shape) for name, array in arrays.items()},
            twin.digest(),
        )
        encoded = msgspec.msgpack.encode(head)
        return b"".join([len(encoded).to_bytes(4, "little"), encoded, *(a.tobytes() for a in arrays.values())])

    @classmethod
    def restore(cls, instruments: Sequence[Instrument], data: bytes) -> "Ledger":
        """The ledger of `snapshot`'s bytes; ValueError when they are damaged or of other instruments.

        Instruments may have been appended since.
        """
        try:
            size = int.from_bytes(data[:4], "little")
            head = msgspec.msgpack.decode(data[4 : 4 + size], type=_Head)
        except msgspec.DecodeError as error:
            raise ValueError(f"ledger snapshot is damaged: {error}") from error
        names = [one.symbol for one in instruments]
        if head.magic != _MAGIC or names[: len(head.symbols)] != head.symbols:
            raise ValueError("ledger snapshot is of another version or of other instruments")
        ledger = cls(instruments, head.partition, head.partitions)
        at = 4 + size
        for name, shape in head.shapes.items():
            dtype = np.dtype(np.int32 if name == "_counts" else np.int64)
            end = at + int(np.prod(shape)) * dtype.itemsize
            ledger._load(name, np.frombuffer(data[at:end], dtype).reshape(shape))
            at = end
        ledger._reindex()
        if len(names) == len(head.symbols) and ledger.digest() != head.digest:
            raise ValueError("ledger snapshot is damaged: its digest differs")
        return ledger

    def _load(self, name: str, saved: npt.NDArray[np.generic]) -> None:
        present = getattr(self, name)
        if name == "_header":
            self._header[:] = saved
        elif name == "_orders":
            self._orders = saved.astype(np.int64)
        elif name == "_table":
            self._table[: len(saved), I_LAST] = saved[:, I_LAST]  # filters are the present instruments'
        else:
            shape = (max(len(present), len(saved)), *present.shape[1:])
            grown = np.zeros(shape, present.dtype)
            grown[tuple(slice(0, n) for n in saved.shape)] = saved
            setattr(self, name, grown)

    def digest(self) -> str:
        """Hex digest of the logical settled state, whatever the slots, capacities and hash seeds."""
        twin = self.settled() if self._has_pending() else self
        rows = int(twin._header[H_ROWS])
        h = hashlib.blake2b(digest_size=16)
        h.update(np.delete(twin._rows[:rows], (R_HEAD,), axis=1).tobytes())
        h.update(twin._balances[:rows].tobytes())
        h.update(twin._positions[:rows].tobytes())
        live = twin._orders[twin._orders[:, O_ID] != 0]
        live = live[np.argsort(live[:, O_ID])]
        h.update(np.delete(live, (O_NEXT, O_NEXT + 1), axis=1).tobytes())
        h.update(twin._table[:, I_LAST].tobytes())
        return h.hexdigest()

    # -- inside -----------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        names = ("_header", "_rows", "_counts", "_balances", "_positions", "_table", "_orders")
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}

    def _has_pending(self) -> bool:
        live = self._orders[self._orders[:, O_ID] != 0]
        return bool(((live[:, 3] >> kernel.STATUS_SHIFT) == kernel.S_PENDING).any())

    def _row(self, account: int) -> int:
        row = account // self.partitions
        inside = account >= 0 and account % self.partitions == self.partition and row < len(self._rows)
        if not inside or not self._rows[row, R_STATE] & R_OPEN:
            raise UnknownAccount(account)
        return row

    def _slots(self, row: int, symbol: int) -> Iterator[int]:
        slot = int(self._rows[row, R_HEAD])
        while slot:
            if symbol < 0 or self._orders[slot, 2] == symbol:
                yield slot
            slot = int(self._orders[slot, O_NEXT])

    def _tell(self, slots: list[int], account: int) -> Records:
        out = np.zeros(len(slots), REPORT)
        words = _words(out, _WORDS_PER_REPORT)
        for k, slot in enumerate(slots):
            kernel.tell_order(out[k], words[k], self._orders[slot])
            out[k]["symbol"] = self._orders[slot, 2]
            out[k]["ord_status"] = self._orders[slot, 3] >> kernel.STATUS_SHIFT
        out["account"] = account
        out["commission_asset"] = -1
        out["asset"] = -1
        return out

    def _reindex(self) -> None:
        size = 4 * len(self._orders)
        self._ids = np.zeros(size, np.int64)
        self._cids = np.zeros(size, np.int64)
        kernel.rebuild(self._header, self._orders, self._ids, self._cids)

    def _grow_orders(self, more: int) -> None:
        need = self.live_orders + more + 1
        if need < len(self._orders):
            return
        grown = np.zeros((max(2 * len(self._orders), need + 1), ORDER_WORDS), np.int64)
        size = 1 << (len(grown) - 1).bit_length()
        grown = np.zeros((size, ORDER_WORDS), np.int64)
        grown[: len(self._orders)] = self._orders
        self._orders = grown
        self._reindex()

    def _grow_rows(self, need: int) -> None:
        if need <= len(self._rows):
            return
        size = 1 << (need - 1).bit_length()
        for name in ("_rows", "_counts", "_balances", "_positions"):
            present = getattr(self, name)
            grown = np.zeros((size, *present.shape[1:]), present.dtype)
            grown[: len(present)] = present
            setattr(self, name, grown)


def _words(records: Records, width: int) -> Array:
    """The same memory as int64[n, width]."""
    return records.view(np.int64).reshape(len(records), width)


def warm(instruments: Sequence[Instrument]) -> None:
    """Compile (or load from numba's cache) every kernel with the types of the running system."""
    ledger = Ledger(instruments[:1])
    ledger.open(SYSTEM_ROWS, 0, 0)
    ledger.post(SYSTEM_ROWS, 0, 1, 0)
    ledger.admit(np.zeros(1, COMMAND), 0)
    ledger.settle(np.zeros(1, COMMAND), np.zeros(0, EVENT), 0)
    ledger.open_order(SYSTEM_ROWS, client_order_id=b"x")
    ledger.open_order(SYSTEM_ROWS, order_id=1)
    ledger.drop_pending()
    ledger._tell([0], SYSTEM_ROWS)
