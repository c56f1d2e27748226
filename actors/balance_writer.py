"""Writes balances and equity of users' accounts to their read models, beside the hot path."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from actors.config import Settings
from market.records import Records

if TYPE_CHECKING:
    from actors.account_actor import AccountService

log = structlog.get_logger()

FLUSH_EVERY_S: Final = 1.0
EQUITY_EVERY_S: Final = 60.0


class BalanceWriter:
    def __init__(self, settings: Settings, service: "AccountService") -> None:
        self._settings = settings
        self._service = service
        self._dirty: set[int] = set()
        self._reference = settings.reference_asset
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
        ledger = self._service.ledger
        taken = [a for a in self._dirty if a not in self._service.quiet]
        self._dirty.clear()
        rows = [
            (account, ledger.assets[k].name, int(free), int(locked))
            for account in taken
            for k, (free, locked) in enumerate(ledger.balances(account))
        ]
        if not rows:
            return
        try:
            await connection.execute(
                "INSERT INTO balances (account, asset, free_units, locked_units) "
                "SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) "
                "ON CONFLICT (account, asset) DO UPDATE SET free_units = excluded.free_units, "
                "locked_units = excluded.locked_units, updated_at = now()",
                *(list(column) for column in zip(*rows, strict=True)),
            )
        except Exception:
            self._dirty.update(taken)
            raise

    async def _write_equity(self, connection: asyncpg.Connection, minute: int) -> None:
        at = datetime.fromtimestamp(minute * EQUITY_EVERY_S, UTC)
        accounts = [a for a in self._service.ledger.accounts() if a not in self._service.quiet]
        await connection.executemany(
            "INSERT INTO equity (account, at, quote_units) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [(account, at, self._equity(account)) for account in accounts],
        )

    def _equity(self, account: int) -> int:
        """All assets at their last price, in units of the reference asset."""
        ledger = self._service.ledger
        total = ledger.balances(account).sum(axis=1)
        prices = ledger.last_prices()
        worth = int(total[ledger.asset_ids[self._reference]])
        for k, one in enumerate(ledger.instruments):
            if one.quote.name == self._reference and k in prices:
                lots = int(total[ledger.asset_ids[one.base.name]]) // one.base_units_per_lot
                worth += lots * prices[k] * one.quote_units_per_tick_lot
        return worth
