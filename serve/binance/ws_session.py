"""One connection of the WebSocket API: its requests in order, its key, its user data subscriptions, its limits."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from market.stream_events import ServerShutdown
from serve.auth.key_material import KeyKind
from serve.binance.context import MILLISECOND_NS
from serve.binance.errors import BAD_KEY, BinanceError, illegal, too_many, too_many_requests, unread
from serve.binance.route import Security
from serve.binance.signing import LONG_RANGE
from serve.binance.user_data import stream_ended
from serve.binance.ws_api import Caller, LoggedOut, Method, WsApi, failure_of
from serve.binance.ws_request import NULL, BadEnvelope, WsRequest, answer, check_limits_wanted, parse, refusal
from serve.sockets.session import Session

IN_FLIGHT_LIMIT: Final = 512
"""Requests of one connection that wait for their answer."""
LIFE_S: Final = 24 * 3600.0
NOTICE_S: Final = 600.0
"""So long before its life ends a connection is told so."""
CLOSE_LIFE_OVER: Final = 1001
SUBSCRIPTIONS: Final = 1_000
"""Active ones of one connection."""
SUBSCRIPTIONS_OF_A_LIFE: Final = 65_535
SESSION_WEIGHT: Final = 2
WAITING_LIMIT: Final = 16_384
"""Answers and events: a burst of fills is not a reason to cut a client off."""

NOT_SUPPORTED: Final = (-1020, "This operation is not supported.")
SUBSCRIBED: Final = (-2035, "User Data Stream subscription already active.")
NOT_SUBSCRIBED: Final = (-2036, "User Data Stream subscription not active.")
_json: Final = msgspec.json.Encoder().encode


class SessionStatus(msgspec.Struct):
    apiKey: str | None
    authorizedSince: int | None
    connectedSince: int
    returnRateLimits: bool
    serverTime: int
    userDataStream: bool


class SubscriptionId(msgspec.Struct):
    subscriptionId: int


class Subscription(msgspec.Struct):
    account: int
    api_key: str
    by_session: bool
    """Of `userDataStream.subscribe`: ends with the log-out."""
    head: str


class WsApiSession(Session):
    channel = "ws-api"
    waiting_limit = WAITING_LIMIT

    def __init__(self, api: WsApi, caller: Caller, return_rate_limits: bool, *args: Any) -> None:
        super().__init__(*args)
        self._api = api
        self._caller = caller
        self.unit_ns = caller.unit_ns
        self._return_rate_limits = return_rate_limits
        self._connected_ns = time.time_ns()
        self._authorized_ns = 0
        self._waiting: deque[WsRequest] = deque()
        """Requests behind one whose key is being looked up."""
        self._looking_up: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._subscriptions: dict[int, Subscription] = {}
        self._by_account: dict[int, int] = {}
        self._subscribed = 0
        self._own: dict[str, Callable[[WsRequest], Awaitable[Any]]] = {
            "session.logon": self._log_on,
            "session.status": self._status,
            "session.logout": self._log_out,
            "session.subscriptions": self._list_subscriptions,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    async def _authenticated(self) -> bool:
        return True  # by its requests: an Authorization header that is sent along means nothing here

    async def on_open(self) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(LIFE_S - NOTICE_S, self._announce_end),
            loop.call_later(LIFE_S, self.outbox.close, CLOSE_LIFE_OVER, "24 hours are over; reconnect"),
        ]
        self._api.venue.keys.on_gone.append(self._keys_gone)

    def _announce_end(self) -> None:
        self._tell({"event": ServerShutdown(time.time_ns() // self.unit_ns)})

    def on_close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._looking_up is not None:
            self._looking_up.cancel()
        with contextlib.suppress(ValueError):
            self._api.venue.keys.on_gone.remove(self._keys_gone)
        for one in self._subscriptions.values():
            self._api.user_data.forget(one.account, self)

    def _tell(self, message: Any) -> None:
        self.outbox.send(_json(message).decode())

    # -- requests -------------------------------------------------------------------------------------------------

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        try:
            request = parse(frame)
        except BadEnvelope as error:
            self._tell(refusal(error.id, self._charged(error), time.time_ns() // MILLISECOND_NS, None))
            return
        if len(self._tasks) + len(self._waiting) >= IN_FLIGHT_LIMIT:
            self._refuse(request, too_many_requests(1.0), None)
            return
        if self._looking_up is None and not self._api.must_wait_for_key(self._caller, request):
            self._start(request)
            return
        self._waiting.append(request)
        if self._looking_up is None:
            self._looking_up = asyncio.create_task(self._look_up())

    def _charged(self, error: BinanceError) -> BinanceError:
        """What cannot be read costs as much as the cheapest request."""
        try:
            self._api.venue.limits.charge(self._caller.address, 1, time.time())
        except BinanceError as too_much:
            return too_much
        return error

    def _start(self, request: WsRequest) -> None:
        """Tasks take their first steps in the order they were made, so orders are sent on in the order they came."""
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self) -> None:
        """One after the other, lest a later order with a known key overtakes."""
        try:
            while self._waiting:
                request = self._waiting[0]
                if self._api.must_wait_for_key(self._caller, request):
                    with contextlib.suppress(Exception):  # who cannot be looked up is told so by the request itself
                        await self._api.look_up_key(self._caller, request)
                self._start(self._waiting.popleft())
        finally:
            self._looking_up = None

    async def _answer(self, request: WsRequest) -> None:
        api, limits, caller = self._api, self._api.venue.limits, self._caller
        method = api.methods.get(request.method)
        counted: int | None = None
        try:
            own = self._own.get(request.method)
            if method is not None:
                weight = method.weight_of(request.values)
                limits.charge(caller.address, weight, time.time())
                counted = self._account_of(method, request)
                context, value = await api.call(method, caller, request)
                if method.route.free:
                    limits.refund(caller.address, weight)
                if method.counts_orders:
                    counted = context.account
            else:
                limits.charge(caller.address, SESSION_WEIGHT if own is not None else 1, time.time())
                if own is None:
                    raise BinanceError(*NOT_SUPPORTED)
                value = await own(request)
        except LoggedOut as error:
            self._forget_key()
            self._tell(refusal(NULL, error, time.time_ns() // MILLISECOND_NS, None))
            return
        except Exception as error:
            self._refuse(request, failure_of(error, request.method), counted)
            return
        self._tell(answer(request.id, value, self._rate_limits(request, counted)))

    def _account_of(self, method: Method, request: WsRequest) -> int | None:
        """Whose order counts are told with the answer, a refusal too."""
        if not method.counts_orders:
            return None
        name = request.values.get("apiKey")
        key = self._caller.key if name is None else self._api.venue.keys.known(name)
        return None if key is None else self._api.venue.gateway.account_of(key.user_id)

    def _refuse(self, request: WsRequest, error: BinanceError, counted: int | None) -> None:
        now_ms = time.time_ns() // MILLISECOND_NS
        self._tell(refusal(request.id, error, now_ms, self._rate_limits(request, counted)))

    def _rate_limits(self, request: WsRequest, counted: int | None) -> list[Any] | None:
        shown = self._return_rate_limits if request.return_rate_limits is None else request.return_rate_limits
        if not shown:
            return None
        return list(self._api.venue.limits.told(self._caller.address, counted, time.time()))

    def _only(self, request: WsRequest, *names: str) -> None:
        """Raises -1104, -1101 when more was sent."""
        check_limits_wanted(request)
        values = request.values
        if self._api.venue.strict and not values.keys() <= set(names):
            read, sent = len(values.keys() & set(names)) + request.apart, len(values) + request.apart
            raise unread(read, sent) if names or request.apart else too_many(0, sent)

    # -- the session's key ----------------------------------------------------------------------------------------

    async def _log_on(self, request: WsRequest) -> SessionStatus:
        key = await self._api.signer(self._caller, request, None, always=True)
        self._only(request)
        if key.kind is not KeyKind.ED25519:
            name = "HMAC_SHA256" if key.kind is KeyKind.HMAC else "RSA"
            raise BinanceError(-4056, f"{name} API key is not supported.")
        if self._caller.key is not None and self._caller.key.api_key != key.api_key:
            self._end_session_streams()
        self._caller.key = key
        self._authorized_ns = time.time_ns()
        return self._told_status()

    async def _status(self, request: WsRequest) -> SessionStatus:
        self._only(request)
        return self._told_status()

    async def _log_out(self, request: WsRequest) -> SessionStatus:
        self._only(request)
        self._forget_key()
        return self._told_status()

    def _forget_key(self) -> None:
        self._caller.key = None
        self._authorized_ns = 0
        self._end_session_streams()

    def _end_session_streams(self) -> None:
        for number in [number for number, one in self._subscriptions.items() if one.by_session]:
            self._end_subscription(number)

    def _told_status(self) -> SessionStatus:
        key, unit = self._caller.key, self.unit_ns
        return SessionStatus(
            None if key is None else key.api_key, None if key is None else self._authorized_ns // unit,
            self._connected_ns // unit, self._return_rate_limits, time.time_ns() // unit, bool(self._subscriptions),
        )  # fmt: skip

    # -- user data ------------------------------------------------------------------------------------------------

    async def _subscribe(self, request: WsRequest) -> SubscriptionId:
        self._only(request)
        if self._caller.key is None:
            raise BinanceError(*BAD_KEY)
        key = await self._api.session_key(self._caller, Security.KEY)
        return await self._listen(key.user_id, key.api_key, by_session=True)

    async def _subscribe_signed(self, request: WsRequest) -> SubscriptionId:
        key = await self._api.signer(self._caller, request, Security.KEY, always=True)
        self._only(request)
        return await self._listen(key.user_id, key.api_key, by_session=False)

    async def _listen(self, user_id: int, api_key: str, by_session: bool) -> SubscriptionId:
        account = self._api.venue.gateway.account_of(user_id)
        if account in self._by_account:
            raise BinanceError(*SUBSCRIBED)
        if self._subscribed >= SUBSCRIPTIONS_OF_A_LIFE:
            raise BinanceError(-2042, "Maximum subscription ID reached for this connection.")
        if len(self._by_account) >= SUBSCRIPTIONS:
            raise BinanceError(-1034, f"Too many concurrent connections; current limit is '{SUBSCRIPTIONS}'.")
        number = self._subscribed
        self._subscribed += 1
        self._by_account[account] = number
        try:
            await self._api.user_data.listen(account, self)
        except BaseException:
            del self._by_account[account]
            raise
        self._subscriptions[number] = Subscription(
            account, api_key, by_session, f'{{"subscriptionId":{number},"event":'
        )  # fmt: skip
        return SubscriptionId(number)

    async def _unsubscribe(self, request: WsRequest) -> dict[str, Any]:
        self._only(request, "subscriptionId")
        text = request.values.get("subscriptionId")
        if text is None:
            numbers = list(self._subscriptions)
        elif text.isdigit() and text.isascii() and len(text) <= 20:
            numbers = [number for number in self._subscriptions if number == int(text)]
        else:
            raise illegal("subscriptionId", LONG_RANGE)
        if not numbers:
            raise BinanceError(*NOT_SUBSCRIBED)
        for number in numbers:
            self._end_subscription(number)
        return {}

    async def _list_subscriptions(self, request: WsRequest) -> list[SubscriptionId]:
        self._only(request)
        return [SubscriptionId(number) for number in self._subscriptions]

    def user_event(self, account: int, event: str) -> None:
        number = self._by_account.get(account)
        if number is not None and (one := self._subscriptions.get(number)) is not None:
            self.outbox.send(f"{one.head}{event}}}")

    def user_stream_ended(self, account: int) -> None:
        number = self._by_account.pop(account, None)
        if number is not None and (one := self._subscriptions.pop(number, None)) is not None:
            self.outbox.send(f"{one.head}{stream_ended(self.unit_ns)}}}")

    def _end_subscription(self, number: int) -> None:
        one = self._subscriptions[number]
        self._api.user_data.forget(one.account, self)
        self.user_stream_ended(one.account)

    def _keys_gone(self, changed: frozenset[str]) -> None:
        """Keys were changed or revoked: streams opened with one that may not read any more end."""
        of_changed = {one.api_key for one in self._subscriptions.values()} & changed
        if of_changed:
            task = asyncio.create_task(self._end_unless_good(of_changed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_unless_good(self, names: set[str]) -> None:
        for name in names:
            key = await self._api.venue.keys.find(name)
            if key is None or not key.can_read or not key.may_come_from(self._caller.address):
                for number in [k for k, one in self._subscriptions.items() if one.api_key == name]:
                    self._end_subscription(number)
