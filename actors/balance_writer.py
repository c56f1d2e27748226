"""Writes balances and equity of users' accounts to their read models, beside the hot path.

A few accounts at a time: between them orders go first, however many accounts changed.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import numpy as np
import structlog

from actors.config import Settings
from market.records import Records

if TYPE_CHECKING:
    from actors.account_actor import AccountService

log = structlog.get_logger()

FLUSH_EVERY_S: Final = 1.0
EQUITY_EVERY_S: Final = 60.0
AT_ONCE: Final = 128
"""Accounts looked at in one turn of the event loop: some 0.5 ms."""
KNOWN_ACCOUNTS: Final = 65_536
"""Of so many it is remembered what was written (15 MB); beyond, all assets are written again."""

_UPSERT: Final = (
    "INSERT INTO balances (account, asset, free_units, locked_units) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) "
    "ON CONFLICT (account, asset) DO UPDATE SET free_units = excluded.free_units, "
    "locked_units = excluded.locked_units, updated_at = now()"
)
_INSERT_EQUITY: Final = (
    "INSERT INTO equity (account, at, quote_units) SELECT account, $1, units "
    "FROM unnest($2::bigint[], $3::numeric[]) AS worth (account, units) ON CONFLICT DO NOTHING"
)


class BalanceWriter:
    def __init__(self, settings: Settings, service: "AccountService") -> None:
        self._settings = settings
        self._service = service
        self._reference = settings.reference_asset
        self._dirty: set[int] = set()
        self._held: dict[int, set[int]] = {}
        """Assets that the read models say an account has something of; accounts not in it: nobody knows."""
        self._minute = 0
        """Of market time, that equity was last written in."""

    def mark(self, reports: Records) -> None:
        if len(reports):
            self._dirty.update(reports["account"].tolist())

    def mark_all(self) -> None:
        self._dirty.update(self._service.ledger.accounts())

    async def run(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(self._settings.pg_dsn, timeout=5, command_timeout=30)
                await self._flush(connection)
                minute = int(self._service.now_ns() / 1e9 // EQUITY_EVERY_S)
                if minute > self._minute:
                    self._minute = minute
                    await self._write_equity(connection, minute)
            except Exception as error:
                log.warning("balances not written, will be", error=repr(error))
                if connection is not None:
                    with contextlib.suppress(Exception):
                        connection.terminate()
                connection = None

    async def _flush(self, connection: asyncpg.Connection) -> None:
        taken, self._dirty = sorted(self._dirty), set()
        try:
            for first in range(0, len(taken), AT_ONCE):
                if rows := self._rows(taken[first : first + AT_ONCE]):
                    await connection.execute(_UPSERT, *(list(column) for column in zip(*rows, strict=True)))
        except Exception:
            self._dirty.update(taken)
            for account in taken:
                self._held.pop(account, None)
            raise

    def _rows(self, accounts: Sequence[int]) -> list[tuple[int, str, int, int]]:
        """What each account has something of, or had when it was written last."""
        ledger, quiet = self._service.ledger, self._service.quiet
        rows = []
        for account in accounts:
            if account in quiet:
                continue
            units = ledger.balances(account)
            held = set(np.flatnonzero(units.any(axis=1)).tolist())
            known = self._held.get(account)
            told = range(len(ledger.assets)) if known is None else held | known
            rows += [(account, ledger.assets[k].name, *units[k].tolist()) for k in told]
            if len(self._held) >= KNOWN_ACCOUNTS:
                self._held.clear()
            self._held[account] = held
        return rows

    async def _write_equity(self, connection: asyncpg.Connection, minute: int) -> None:
        at = datetime.fromtimestamp(minute * EQUITY_EVERY_S, UTC)
        accounts = [a for a in self._service.ledger.accounts() if a not in self._service.quiet]
        worth = self._worth()
        for first in range(0, len(accounts), AT_ONCE):
            some = accounts[first : first + AT_ONCE]
            await connection.execute(_INSERT_EQUITY, at, some, [self._equity(account, worth) for account in some])

    def _worth(self) -> dict[int, tuple[int, int]]:
        """By id of an asset: its units in a lot, and what a lot is worth at the last price, in units of the reference asset."""
        ledger = self._service.ledger
        prices = ledger.last_prices()
        return {ledger.asset_ids[self._reference]: (1, 1)} | {
            ledger.asset_ids[one.base.name]: (one.base_units_per_lot, prices[k] * one.quote_units_per_tick_lot)
            for k, one in enumerate(ledger.instruments)
            if one.quote.name == self._reference and k in prices
        }

    def _equity(self, account: int, worth: dict[int, tuple[int, int]]) -> int:
        """All assets at their last price, in units of the reference asset."""
        total = self._service.ledger.balances(account).sum(axis=1)
        held = np.flatnonzero(total)
        whole = zip(held.tolist(), total[held].tolist(), strict=True)
        return sum(units // worth[asset][0] * worth[asset][1] for asset, units in whole if asset in worth)
