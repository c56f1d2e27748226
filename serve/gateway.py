"""What a gateway replica knows and can do: its links to account actors, database, cache and private listeners.

Stateless towards the exchange: everything here can be lost with the process. Knows no HTTP.
"""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final

import asyncpg
import numpy as np
import ray
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from actors.account_client import AccountClient, Answered, AnsweredRecords
from actors.config import MAKER_FEE_PPM, TAKER_FEE_PPM, Settings
from actors.errors import LinkDown, OutcomeUnknown, Refused
from actors.market_bus import time_key
from actors.market_now import MarketNow
from actors.remote import ask
from actors.wire import ReportRow, decode_reports
from market.enums import Side
from market.instrument import Asset, assets_of
from market.profile import TradingProfile
from market.records import Records, picked
from serve.errors import ApiError, Code
from serve.orders import CLOSING, ENDED, OrderDesk, OrderName, client_key, refused
from serve.packed_orders import PackedDesk
from serve.profiles import Profiles
from serve.schema import Order, OrderResult, OrderView, SideOrder

log = structlog.get_logger()

POOL_MAX: Final = 8
"""Database connections of one gateway for queries."""
QUERY_TIMEOUT_S: Final = 10.0
TIME_POLL_S: Final = 0.02
"""A replay's market time is looked up that often."""
ROWS_PER_TURN: Final = 512
"""Missed reports told in one turn of the event loop: a resume of tens of thousands must not stop everyone else."""

Listener = Callable[[ReportRow], None]
Rows = list[ReportRow]
"""The reports that answer commands sent together: one command after the other, of each the last one last."""
Refusals = dict[int, OrderResult]
"""By the order's place in its request."""

_SIDES: Final = {"BUY": int(Side.BUY), "SELL": int(Side.SELL)}


class _Telling:
    """The link's errors as ApiError. A class: a generator of contextlib costs a microsecond more for each order."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            return
        if isinstance(error, LinkDown):
            raise ApiError(Code.BOOK_UNAVAILABLE, "The account does not answer now; nothing was done.") from None
        if isinstance(error, Refused):
            raise ApiError(Code.OVERLOADED, f"{error.text}; nothing was done.") from None
        if isinstance(error, OutcomeUnknown):
            raise ApiError(Code.STATUS_UNKNOWN) from None


_TELLING: Final = _Telling()


class Gateway:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instruments = settings.instruments()
        self.assets: list[Asset] = assets_of(self.instruments)
        self.desk = OrderDesk(self.instruments, self.assets)
        self.packed_desk = PackedDesk(self.desk)
        self.reference_id = self.desk.asset_ids[settings.reference_asset]
        """Of the asset that equity and profit are told in."""
        self.reference = self.assets[self.reference_id]
        self.initial_units = settings.initial_quote * 10**self.reference.scale
        """Of the reference asset, in a new account."""
        self.started = time.time()
        self.now_ns = MarketNow.of(settings)
        """Market time; a replay's is at most `TIME_POLL_S` older than what the projector last told."""
        self.profiles = Profiles(lambda: self.pool, self._journal_profile)
        self._clients: list[AccountClient] = []
        self._listeners: dict[int, list[Listener]] = {}
        self._client_ids = itertools.count(1)
        self._boot = secrets.token_hex(4)
        self._tasks: list[asyncio.Task[Any]] = []
        self._ready_accounts: set[int] = set()

    async def start(self) -> None:
        s = self.settings
        self.pool = await asyncpg.create_pool(
            s.pg_dsn, min_size=1, max_size=POOL_MAX, command_timeout=QUERY_TIMEOUT_S, timeout=5
        )
        self.redis = aioredis.Redis.from_url(s.redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._clients = [
            AccountClient(
                s, p, f"gateway-{self._boot}", on_reports=self._on_reports, on_up=partial(self._resubscribe, p)
            )
            for p in range(s.account_actors)
        ]
        self._tasks = [asyncio.create_task(client.run()) for client in self._clients]
        if self.now_ns.replay:
            self._tasks.append(asyncio.create_task(self._follow_time()))

    async def _follow_time(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                self.now_ns.saw(int(await self.redis.get(time_key(self.settings.prefix)) or 0))
            await asyncio.sleep(TIME_POLL_S)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.pool.close()
        await self.redis.aclose()

    def client(self, account: int) -> AccountClient:
        return self._clients[account % len(self._clients)]

    async def check_accounts(self) -> str:
        """For readiness."""
        if not all(client.up for client in self._clients):
            raise LinkDown("an account actor is away")
        return f"{len(self._clients)} up"

    async def check_database(self) -> str:
        await self.pool.fetchval("SELECT 1")
        return "answers"

    # -- accounts -------------------------------------------------------------------------------------------------

    def account_of(self, user_id: int) -> int:
        return self.settings.account_of(user_id)

    async def open_account(self, user_id: int) -> None:
        """Open the user's trading account with the initial virtual money; again: nothing."""
        account = self.account_of(user_id)
        await self.ask(
            account, "open", account, (MAKER_FEE_PPM, TAKER_FEE_PPM), False, [(self.reference_id, self.initial_units)]
        )
        self._ready_accounts.add(account)

    async def _journal_profile(self, user_id: int, document: bytes) -> None:
        await self.open_account(user_id)
        account = self.account_of(user_id)
        await self.ask(account, "profile", account, document)

    async def self_service(self, name: str) -> Callable[[int], Awaitable[None]]:
        """What gives the named profile to a user id; ApiError unless everybody may choose it."""
        found = await self.profiles.named(name, "profile", to_register=True)

        async def give(user_id: int) -> None:
            await self.profiles.set(user_id, found.profile, name)

        return give

    def profile_of(self, account: int) -> TradingProfile:
        """As this gateway saw it last."""
        return self.profiles.known(self.settings.user_of(account))

    async def ask(self, account: int, method: str, *args: Any) -> Any:
        """A question to the account's actor; ApiError when it cannot be answered."""
        try:
            return await self.client(account).call(method, *args)
        except LinkDown as error:
            raise ApiError(Code.UNAVAILABLE, "The account does not answer now; try again.") from error
        except Refused as refused:
            code = Code.__members__.get(refused.code, Code.ORDER_REJECTED)
            raise ApiError(code, refused.text[:1].upper() + refused.text[1:] + ".") from refused

    # -- orders ---------------------------------------------------------------------------------------------------

    def new_client_order_id(self, given: str | None = None) -> bytes:
        if given is not None:
            return client_key(given)
        return b"rp-%s-%d" % (self._boot.encode("ascii"), next(self._client_ids))

    def send(self, account: int, packed: list[bytes], answered: Answered) -> None:
        """Send commands; ApiError when nothing was sent. `answered` gets `Rows`, or None: the outcome is not known."""
        with self._telling():
            self.client(account).submit(b"".join(packed), answered)

    def send_records(self, account: int, commands: Records, answered: AnsweredRecords) -> None:
        """`send` for COMMAND[n] and answers that stay records."""
        with self._telling():
            self.client(account).submit_records(commands, answered)

    async def submit(self, account: int, packed: list[bytes]) -> Rows:
        """Send commands and wait; ApiError when nothing was sent or the outcome is not known."""
        with self._telling():
            return await self.client(account).ask_for(b"".join(packed))

    async def submit_list(self, account: int, name: bytes, packed: list[bytes]) -> Rows:
        """Send an order list's commands as one and wait, as `submit`: all of its orders are taken or none."""
        with self._telling():
            return await self.client(account).ask_for(b"".join(packed), name)

    @staticmethod
    def _telling() -> "_Telling":
        return _TELLING

    async def place(self, account: int, order: SideOrder, side: str) -> OrderView:
        packed = self.desk.place(account, order, _SIDES[side], self.new_client_order_id(order.client_order_id))  # type: ignore[arg-type]
        return self._viewed(await self.submit(account, [packed]))

    async def place_many(self, account: int, orders: list[Order]) -> list[OrderResult]:
        """Each order's own result, in order; one that is refused does not touch the others."""
        packed, refusals = self.pack(account, orders)
        rows = await self.submit(account, packed) if packed else []
        return self.results(rows, refusals)

    def pack(self, account: int, orders: list[Order]) -> tuple[list[bytes], Refusals]:
        """Commands of the orders that may be sent, and the refusals of the others by their places."""
        packed: list[bytes] = []
        refusals: Refusals = {}
        place, new_id = self.desk.place, self.new_client_order_id
        for k, order in enumerate(orders):
            try:
                packed.append(place(account, order, order.side.code, new_id(order.client_order_id)))
            except ApiError as error:
                refusals[k] = refused(error)
        return packed, refusals

    def results(self, rows: Rows, refusals: Refusals, named: Sequence[OrderName] | None = None) -> list[OrderResult]:
        """One for each command that was answered, with the refusals put in their places.

        `named`: of cancels, the orders that they name.
        """
        result = self.desk.result
        results: list[OrderResult] = []
        first = 0
        for k, row in enumerate(rows, 1):
            if row.last:
                results.append(result(rows[first:k], None if named is None else named[len(results)]))
                first = k
        for k, one in refusals.items():  # in ascending order: each finds the places before it filled
            results.insert(k, one)
        return results

    def _viewed(self, rows: list[ReportRow], order_id: int = 0) -> OrderView:
        error = self.desk.refusal(rows[-1])
        if error is not None:
            raise error
        return self.desk.view(rows, order_id)

    async def cancel(self, account: int, order_id: int) -> OrderView:
        return self._viewed(await self.submit(account, [self.desk.cancel(account, order_id)]), order_id)

    async def amend(self, account: int, order_id: int, quantity: Any) -> OrderView:
        target = await self.open_order(account, order_id)
        return self._viewed(await self.submit(account, [self.desk.amend(account, target, quantity)]), order_id)

    async def replace(self, account: int, order_id: int, order: Any) -> OrderView:
        target = await self.open_order(account, order_id)
        named = self.new_client_order_id(order.client_order_id)
        rows = await self.submit(account, [self.desk.replace(account, target, order, named)])
        return self._viewed(rows, rows[-1].order_id)

    async def cancel_all(self, account: int, symbol: int | None = None) -> list[OrderView]:
        symbols = await self.ask(account, "open_symbols", account) if symbol is None else [symbol]
        if not symbols:
            return []
        rows = await self.submit(account, [self.desk.cancel_all(account, k) for k in symbols])
        return [self.desk.view([row]) for row in rows if row.exec_type in CLOSING]

    async def order(self, account: int, order_id: int = 0, client_order_id: str = "") -> ReportRow | None:
        """The order as it stands: open, or ended not long ago (`ord_status` tells); None: ask the read models.

        By `order_id`, else the newest of the orders that had this `client_order_id`.
        """
        found = decode_reports(await self.ask(account, "order", account, order_id, client_key(client_order_id)))
        return found[0] if found else None

    async def orders_named(self, account: int, client_order_id: str) -> list[OrderView]:
        """Those of this `client_order_id` that are open or ended not long ago, newest first."""
        rows = decode_reports(await self.ask(account, "named_orders", account, client_key(client_order_id)))
        return [self.desk.view([row]) for row in reversed(rows)]

    async def queue_now(self, symbol: int, order_id: int) -> dict[str, Any] | None:
        """How an order stands in a real venue's queue (`ProjectorService.queue`); None: nobody can tell now."""
        try:
            found: dict[str, Any] = await asyncio.to_thread(ask, "projector", "queue", 3.0, symbol, order_id)
        except (ValueError, ray.exceptions.RayError):
            return None
        return found

    async def order_latency(self, account: int, order_id: int) -> int | None:
        """How long the order waited for its account's latency, in ns; None: not at all, or nobody can tell now."""
        with contextlib.suppress(ApiError):
            found: int | None = await self.ask(account, "order_latency", order_id)
            return found
        return None

    async def open_order(self, account: int, order_id: int) -> ReportRow:
        found = await self.order(account, order_id)
        if found is None or found.ord_status in ENDED:
            raise ApiError(Code.UNKNOWN_ORDER, "There is no such open order of yours.", "order_id")
        return found

    async def open_orders(self, account: int, symbol: int = -1) -> list[OrderView]:
        rows = decode_reports(await self.ask(account, "open_orders", account, symbol))
        return [self.desk.view([row]) for row in rows]

    # -- private streams ------------------------------------------------------------------------------------------

    async def listen(self, account: int, from_seq: int, listener: Listener) -> dict[str, Any]:
        """Private reports from now on, those after `from_seq` first; -1: no earlier ones."""
        listeners = self._listeners.setdefault(account, [])
        early: list[ReportRow] = []
        listeners.append(early.append)
        try:
            answer: dict[str, Any] = await self.ask(account, "subscribe", account, from_seq)
            for k, row in enumerate(decode_reports(answer["missed"]), 1):
                listener(row)
                if k % ROWS_PER_TURN == 0:
                    await asyncio.sleep(0)
        except BaseException:
            if len(listeners) == 1 and self._listeners.get(account) is listeners:
                del self._listeners[account]
            raise
        finally:
            listeners.remove(early.append)
        # What came before the answer belongs to another listener of this account.
        for row in early:
            if row.seq > answer["seq"]:
                listener(row)
        self._listeners.setdefault(account, []).append(listener)
        return {"seq": answer["seq"]}

    def forget(self, account: int, listener: Listener) -> None:
        """`unlisten` for places that must not await."""
        task = asyncio.create_task(self.unlisten(account, listener))
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def unlisten(self, account: int, listener: Listener) -> None:
        listeners = self._listeners.get(account, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self._listeners.pop(account, None)
            client = self.client(account)
            if client.up:
                try:
                    await client.call("unsubscribe", account)
                except (LinkDown, Refused):
                    log.debug("account went away before it was unsubscribed")

    def _on_reports(self, reports: Records) -> None:
        if not self._listeners:
            return
        heard = np.isin(reports["account"], list(self._listeners)) & (reports["seq"] != 0)
        if not heard.any():
            return
        for row in decode_reports(picked(reports, heard).tobytes()):
            for listener in tuple(self._listeners.get(row.account, ())):
                listener(row)

    async def _resubscribe(self, partition: int) -> None:
        """After an account actor came back: private streams must resume by sequence number, so they are ended."""
        for account, listeners in list(self._listeners.items()):
            if account % len(self._clients) != partition:
                continue
            for listener in tuple(listeners):
                close = getattr(listener, "__self__", None)
                if close is not None and hasattr(close, "restart"):
                    close.restart()
            self._listeners.pop(account, None)
