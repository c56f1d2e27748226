"""Runs the simulated market: steps its participants and trades for them as any gateway does."""

import asyncio
import time
from typing import Any, Final

import asyncpg
import numpy as np
import structlog

from actors.account_client import AccountClient
from actors.config import Settings
from actors.metrics import SimulatedMetrics
from market.agents import SimulatedMarket
from market.enums import CommandKind
from market.records import COMMAND, REPORT, Records

log = structlog.get_logger()

NAME: Final = "feed"
STEP_S: Final = 0.1
AGENT_QUOTE_UNITS_SHARE: Final = 1 << 53
"""Deposit of each participant in each asset, in units: deep pockets, and still far below 2^62 together."""


class SimulatedFeed:
    kind = "simulated"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instruments = settings.instruments()
        self.metrics = SimulatedMetrics(NAME)
        self.steps = 0
        self._reports: list[Records] = []
        self._clients = [
            AccountClient(settings, p, NAME, on_reports=self._reports.append, on_up=self._on_up)
            for p in range(settings.account_actors)
        ]
        self._accounts: list[int] = []
        self._market: SimulatedMarket | None = None
        self._restart = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        self._accounts = await self._register()
        self._tasks = [asyncio.create_task(client.run()) for client in self._clients]

    async def _on_up(self) -> None:
        """An account actor is (again) there: what we believed of our orders is stale."""
        self._restart.set()

    async def _register(self) -> list[int]:
        """The participants are users that cannot log in; the same ones at every start."""
        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5)
        try:
            ids = []
            for role in SimulatedMarket.ACCOUNTS:
                name = f"sim-{role}"
                await connection.execute(
                    "INSERT INTO users (username, role) VALUES ($1, 'agent') ON CONFLICT DO NOTHING", name
                )
                ids.append(await connection.fetchval("SELECT user_id FROM users WHERE username = $1", name))
        finally:
            await connection.close()
        return [self.settings.account_of(one) for one in ids]

    def _client(self, account: int) -> AccountClient:
        return self._clients[account % len(self._clients)]

    async def run(self) -> None:
        while True:
            await self._restart.wait()
            if not all(client.up for client in self._clients):
                await asyncio.sleep(0.05)
                continue
            self._restart.clear()
            try:
                await self._prepare()
                await self._trade()
            except Exception:
                log.exception("simulated market stumbled, starting it anew")
                await asyncio.sleep(0.5)
                self._restart.set()

    async def _prepare(self) -> None:
        """Open accounts, cancel what an earlier incarnation left, go on from the last prices."""
        deposits = [(k, AGENT_QUOTE_UNITS_SHARE) for k in range(self._asset_count())]
        for account in self._accounts:
            client = self._client(account)
            if not await client.call("open", account, (0, 0), True, deposits):
                await self._endow(account, deposits)
            symbols = await client.call("open_symbols", account)
            if symbols:
                cancels = np.zeros(len(symbols), COMMAND)
                cancels["kind"] = CommandKind.CANCEL_ALL
                cancels["account"] = account
                cancels["symbol"] = symbols
                await client.ask_for(cancels)
            await client.call("subscribe", account, -1)
        last = await self._last_prices()
        self._reports.clear()
        self._market = SimulatedMarket(
            self.instruments, self._accounts, self.settings.rate, self._seed(), last_prices=last
        )

    async def _endow(self, account: int, deposits: list[tuple[int, int]]) -> None:
        """What symbols added since the account was opened are traded with."""
        client = self._client(account)
        held = {asset for asset, _, _ in (await client.call("account", account))["balances"]}
        for asset, units in deposits:
            if asset not in held:
                await client.call("post", account, asset, units)

    def _asset_count(self) -> int:
        return len({name for one in self.instruments for name in (one.base.name, one.quote.name)})

    def _seed(self) -> int:
        """The same market for the same seed at a first start; another stretch of it after each restart."""
        return self.settings.seed + self.steps

    async def _last_prices(self) -> dict[int, int]:
        prices: dict[int, int] = await self._clients[0].call("last_prices")
        return {int(k): int(v) for k, v in prices.items()}

    async def _trade(self) -> None:
        assert self._market is not None
        next_at = time.monotonic()
        while not self._restart.is_set():
            began = time.perf_counter()
            taken = np.concatenate(self._reports) if self._reports else np.zeros(0, REPORT)
            self._reports.clear()
            commands = self._market.step(time.time_ns(), taken)
            self.metrics.step_s.observe(time.perf_counter() - began)
            self.metrics.commands.inc(len(commands))
            self.steps += 1
            for p, client in enumerate(self._clients):
                own = commands[commands["account"] % len(self._clients) == p]
                if len(own):
                    client.send(own)
            next_at = max(next_at + STEP_S, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())

    def status(self) -> dict[str, object]:
        return {"rate": self.settings.rate, "steps": self.steps}

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
