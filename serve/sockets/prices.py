"""`/ws/prices`: tickers, depth and trades, as they come from the bus, encoded once for all listeners."""

import asyncio
import contextlib
from typing import Annotated, Any, Final, Literal

import msgspec
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from market.profile import NO_LATENCY
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http.decode import invalid
from serve.sockets.late import LateData
from serve.sockets.outbox import CLOSE_SLOW
from serve.sockets.session import RequestId, Session, decode, problem
from serve.sockets.transport import Message, Shared

log = structlog.get_logger()

CHANNELS: Final = ("ticker", "depth", "trades")
"""What is meant when none is named."""
ALL_CHANNELS: Final = (*CHANNELS, "prediction")
MAX_SUBSCRIPTIONS: Final = 2_000
"""Channel and symbol pairs of one socket."""
RETRY_S: Final = 1.0


class Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    op: Literal["subscribe", "unsubscribe", "ping"]
    channels: Annotated[list[Literal["ticker", "depth", "trades", "prediction"]], msgspec.Meta(max_length=4)] = []
    symbols: Annotated[list[str], msgspec.Meta(max_length=1000)] = []
    """Empty: all."""
    id: RequestId = None


_decode_json = msgspec.json.Decoder(Subscribe)
_decode_msgpack = msgspec.msgpack.Decoder(Subscribe)


class PriceBus:
    """One subscription to the public bus for all sockets of this gateway; keeps the newest ticker and depth."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._listeners: dict[tuple[str, str], set[PricesSession]] = {}
        self.newest: dict[tuple[str, str], Shared] = {}
        self.received = 0
        self._catching: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        prefix = f"{self._gateway.settings.prefix}:bus:"
        while True:
            try:
                redis = aioredis.Redis.from_url(self._gateway.settings.redis_url, socket_connect_timeout=2)
                async with redis, redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.psubscribe(f"{prefix}*")
                    async for message in pubsub.listen():
                        _, _, rest = message["channel"].decode().partition(":bus:")
                        channel, _, symbol = rest.partition(":")
                        self._forward(channel, symbol, Shared(message["data"].decode()))
            except Exception as error:
                log.warning("market-data bus away, retrying", error=repr(error))
            await asyncio.sleep(RETRY_S)

    def _forward(self, channel: str, symbol: str, message: Shared) -> None:
        key = (channel, symbol)
        self.received += 1
        if channel != "trades":
            self.newest[key] = message
        for session in self._listeners.get(key, ()):
            session.tell(key, message)

    def add(self, key: tuple[str, str], session: "PricesSession") -> None:
        self._listeners.setdefault(key, set()).add(session)
        if key in self.newest:
            session.tell(key, self.newest[key])
        elif key[0] == "prediction":
            catching = asyncio.create_task(self._catch_up(key))
            self._catching.add(catching)
            catching.add_done_callback(self._catching.discard)

    async def _catch_up(self, key: tuple[str, str]) -> None:
        """Predictions may be a candle apart: whoever comes gets the last one, though this gateway was not there yet."""
        with contextlib.suppress(RedisError, OSError):
            kept: Any = await self._gateway.redis.get(f"{self._gateway.settings.prefix}:{key[0]}:{key[1]}")
            if kept is not None and key not in self.newest:
                self._forward(*key, kept.decode())

    def drop(self, key: tuple[str, str], session: "PricesSession") -> None:
        listeners = self._listeners.get(key)
        if listeners is not None:
            listeners.discard(session)
            if not listeners:
                del self._listeners[key]


class PricesSession(Session):
    channel = "prices"
    urgent = False

    def __init__(self, gateway: Gateway, bus: PriceBus, *args: Any) -> None:
        super().__init__(*args)
        self._gateway = gateway
        self._bus = bus
        self._keys: set[tuple[str, str]] = set()
        self._late: LateData | None = None

    async def on_open(self) -> None:
        if self.principal is not None:
            account = self._gateway.account_of(self.principal.user_id)
            latency = self._gateway.profile_of(account).data_latency
            if latency != NO_LATENCY:
                self._late = LateData(self._gateway.now_ns, latency, account, self._tell_now)
        query = self.transport.handshake.query_params
        if "channels" in query or "symbols" in query:
            wanted = {"op": "subscribe", "channels": _split(query.get("channels", "ticker")),
                      "symbols": _split(query.get("symbols", ""))}  # fmt: skip
            try:
                self._change(msgspec.convert(wanted, Subscribe))
            except msgspec.ValidationError as error:
                self.send(problem(None, invalid(error)))
            except ApiError as error:
                self.send(problem(None, error))

    def tell(self, key: tuple[str, str], message: Shared) -> None:
        if self._late is None:
            self._tell_now(key, message)
        elif not self._late.put(key, message):
            self.outbox.close(CLOSE_SLOW, "too many messages wait for this account's latency; reconnect", at_once=True)

    def _tell_now(self, key: tuple[str, str], message: Message) -> None:
        if key[0] == "trades":
            self.outbox.send(message)
        else:
            self.outbox.replace(key, message)

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        self.binary = binary
        request: Subscribe = decode(
            _decode_msgpack if binary else _decode_json, frame, "MessagePack" if binary else "JSON"
        )
        if request.op == "ping":
            self.send({"id": request.id, "ok": True, "op": "pong"})
            return
        self._change(request)
        self.send({"id": request.id, "ok": True, "subscriptions": len(self._keys)})

    def _change(self, request: Subscribe) -> None:
        known = self._gateway.desk.by_name
        for symbol in request.symbols:
            if symbol not in known:
                raise ApiError(Code.UNKNOWN_SYMBOL, f"{symbol} is not traded here.", "symbols")
        meant = ALL_CHANNELS if request.op == "unsubscribe" else CHANNELS
        keys = {(c, s) for c in request.channels or meant for s in request.symbols or known}
        if request.op == "unsubscribe":
            for key in keys & self._keys:
                self._bus.drop(key, self)
            self._keys -= keys
            return
        if len(self._keys | keys) > MAX_SUBSCRIPTIONS:
            raise ApiError(Code.VALIDATION, f"At most {MAX_SUBSCRIPTIONS} subscriptions on one socket.", "symbols")
        for key in sorted(keys - self._keys):
            self._bus.add(key, self)
        self._keys |= keys

    def on_close(self) -> None:
        if self._late is not None:
            self._late.close()
        with contextlib.suppress(Exception):
            for key in self._keys:
                self._bus.drop(key, self)


def _split(value: str) -> list[str]:
    return [part for part in value.split(",") if part]
