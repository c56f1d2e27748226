"""The data port on a real connection: frames, closes, limits, slow readers. The sessions' own words are tests/system's."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import pytest

from serve.errors import ApiError, Code
from serve.sockets import data_socket, outbox
from serve.sockets import session as sessions
from serve.sockets.data_port import DataPort
from serve.sockets.data_socket import address_of
from serve.sockets.routes import SocketRoute
from serve.sockets.session import Session, SocketCount
from serve.sockets.transport import Denied, Handshake, Shared, Transport, frame_of

WITHIN_S: Final = 10.0
KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="


class Talk(Session):
    """Says what it hears, unless it is told to do something else."""

    channel = "talk"

    async def on_open(self) -> None:
        self.outbox.send("welcome")

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        if frame == "many":
            for k in range(3):
                self.outbox.send(f"part {k}")
            self.outbox.send(b"bytes")
            self.outbox.send(Shared("shared"))
        elif frame == "refuse":
            raise ApiError(Code.VALIDATION, "No.", "frame")
        else:
            self.outbox.send(frame)


class Locked(Talk):
    needs_user = True


class Nobody:
    async def authenticate(self, token: str) -> Any:
        raise ApiError(Code.UNAUTHENTICATED)


class World:
    def __init__(self) -> None:
        self.count = SocketCount()
        self.opened: list[Session] = []
        self.table = [
            SocketRoute("/talk", self._open(Talk)),
            SocketRoute("/locked", self._open(Locked)),
            SocketRoute("/denied", self._denied),
            SocketRoute("/below/", self._open(Talk), below=True),
        ]
        self.port = DataPort(self.table, self.count)

    def _open(self, kind: type[Session]) -> Callable[[Transport], Session]:
        def opened(transport: Transport) -> Session:
            self.opened.append(kind(transport, Nobody(), self.count))
            return self.opened[-1]

        return opened

    @staticmethod
    def _denied(transport: Transport) -> Session:
        raise Denied(429, 1013, "too many connections; try later", 3.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.port}"

    async def all_gone(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(one.gone for one in self.opened))
        assert self.count.total == 0
        assert set(self.count.open.values()) <= {0}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.port.start("127.0.0.1", 0)
    yield world
    await world.count.retire(WITHIN_S)
    await world.port.stop()


@pytest.fixture
async def http(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(world.url, timeout=aiohttp.ClientTimeout(total=WITHIN_S)) as session:
        yield session


async def closed(peer: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    while (message := await peer.receive(timeout=WITHIN_S)).type is not aiohttp.WSMsgType.CLOSE:
        assert message.type is not aiohttp.WSMsgType.CLOSED, "it ended without a close frame"
    return int(message.data), str(message.extra)


async def test_text_bytes_and_what_is_queued_together(world: World, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect("/talk?x=1&y=%20") as peer:
        assert await peer.receive_str() == "welcome"
        handshake = world.opened[0].transport.handshake
        assert (handshake.path, handshake.query, handshake.address) == ("/talk", "x=1&y=%20", None)
        assert handshake.query_params["y"] == " "
        for text in ("", "a", "ü" * 70, "x" * 70_000):
            await peer.send_str(text)
            assert await peer.receive_str() == text
        await peer.send_bytes(b"\x00\xff" * 100)
        assert await peer.receive_bytes() == b"\x00\xff" * 100
        await peer.send_str("many")
        assert [await peer.receive_str() for _ in range(3)] == ["part 0", "part 1", "part 2"]
        assert await peer.receive_bytes() == b"bytes"
        assert await peer.receive_str() == "shared"
        await peer.send_str("refuse")
        assert '"field":"frame"' in await peer.receive_str()
        await peer.ping(b"are you there")
        await peer.send_str("still here")
        assert await peer.receive_str() == "still here"
        assert world.count.open == {"talk": 1}
    await world.all_gone()


async def test_paths_and_limits_are_checked_before_and_after_the_handshake(
    world: World, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, status in (("/nothing", 404), ("/below", 404)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(path)
        assert refused.value.status == status
    assert (await http.get("/talk")).status == 400, "no WebSocket was asked for"
    async with http.ws_connect("/below/a%20b") as peer:
        assert await peer.receive_str() == "welcome"
        assert world.opened[0].transport.handshake.path == "/below/a b"
        monkeypatch.setattr(sessions, "MAX_SOCKETS", 1)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/talk")
        assert refused.value.status == 503
    await world.all_gone()
    async with http.ws_connect("/denied") as peer:
        assert await closed(peer) == (1013, "too many connections; try later")


async def test_a_socket_that_does_not_authenticate_is_closed(
    world: World, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http.ws_connect("/locked") as peer:
        await peer.send_str('{"op":"auth","token":"wrong"}')
        assert "UNAUTHENTICATED" in await peer.receive_str()
        assert await closed(peer) == (1008, "authenticate with a valid access token")
    monkeypatch.setattr(sessions, "AUTH_TIMEOUT_S", 0.01)
    async with http.ws_connect("/locked") as peer:
        assert await closed(peer) == (1008, "authenticate with a valid access token")
    await world.all_gone()


async def test_the_end_of_the_server_is_told(world: World, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect("/talk") as peer:
        retiring = asyncio.create_task(world.count.retire(WITHIN_S))
        assert await closed(peer) == (1001, sessions.GOING_AWAY)
        assert await retiring == 1
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect("/talk")


async def test_replicas_share_the_port(world: World) -> None:
    second = DataPort(world.table, world.count)
    await second.start("127.0.0.1", world.port.port)
    assert second.serving
    await second.stop()


# -- frame by frame, as no library sends them -----------------------------------------------------------------------


class Wire:
    """A client that sends bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, head: int, payload: bytes, masked: bool = True) -> None:
        self.writer.write(bytes([head, len(payload) | 128 * masked]) + bytes(4) * masked + payload)

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(WITHIN_S):
            head, size = await self.reader.readexactly(2)
            return head, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        head, payload = await self.frame()
        assert head == 0x88, payload
        return int.from_bytes(payload[:2], "big")


def upgrade(connection: str = "Upgrade") -> bytes:
    return (
        f"GET /talk HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: {connection}\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@asynccontextmanager
async def wire(world: World, connection: str = "Upgrade") -> AsyncIterator[Wire]:
    """After the welcome."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port.port)
    try:
        writer.write(upgrade(connection))
        async with asyncio.timeout(WITHIN_S):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        peer = Wire(reader, writer)
        assert await peer.frame() == (0x81, b"welcome")
        yield peer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await world.all_gone()


async def test_fragments_are_put_together_and_firefox_may_connect(world: World) -> None:
    async with wire(world, "keep-alive, Upgrade") as peer:
        peer.send(0x01, b"frag")
        peer.send(0x89, b"ping between")
        peer.send(0x00, b"men")
        peer.send(0x80, b"ts")
        assert await peer.frame() == (0x8A, b"ping between")
        assert await peer.frame() == (0x81, b"fragments")
        peer.send(0x88, b"\x0f\xa0bye")
        assert await peer.close_code() == 4000, "a peer's close is answered with its own code"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([(0x81, b"\xff", True)], 1007),
        ([(0x01, b"\xff", True), (0x80, b"", True)], 1007),
        ([(0x80, b"of nothing", True)], 1002),
        ([(0x01, b"a", True), (0x81, b"b", True)], 1002),
        ([(0x81, b"not masked", False)], 1002),
        ([(0x83, b"unknown", True)], 1002),
    ],
)
async def test_what_is_no_websocket_ends_with_its_code(
    world: World, sent: list[tuple[int, bytes, bool]], code: int
) -> None:
    async with wire(world) as peer:
        for one in sent:
            peer.send(*one)
        assert await peer.close_code() == code


async def test_messages_are_limited_in_one_frame_and_in_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire(world) as peer:
        peer.writer.write(bytes([0x82, 255]) + (1 << 21).to_bytes(8, "big") + bytes(4))
        assert await peer.close_code() == 1009
    monkeypatch.setattr(data_socket, "MAX_FRAME_BYTES", 200)
    async with wire(world) as peer:
        for head in (0x02, 0x00, 0x00):
            peer.send(head, b"x" * 80)
        assert await peer.close_code() == 1009


@asynccontextmanager
async def full(world: World) -> AsyncIterator[tuple[sockets.socket, Session]]:
    """A peer that does not read, until the system takes no more for it and messages wait."""
    loop = asyncio.get_running_loop()
    with sockets.create_connection(("127.0.0.1", world.port.port)) as peer:
        peer.setblocking(False)
        await loop.sock_sendall(peer, upgrade())
        seen = b""
        while not seen.endswith(b"welcome"):
            seen += await loop.sock_recv(peer, 4096)
        session = world.opened[-1]
        async with asyncio.timeout(WITHIN_S):
            while not session.outbox.waits:
                for _ in range(16):
                    session.outbox.send("x" * 65_536)
                await asyncio.sleep(0.001)
        yield peer, session


async def test_a_slow_reader_gets_the_newest_state(world: World) -> None:
    async with full(world) as (peer, session):
        for k in range(1000):
            session.outbox.replace("state", f"state {k:4}")
        session.outbox.close(1013, "enough")
        loop, seen = asyncio.get_running_loop(), b""
        async with asyncio.timeout(WITHIN_S):
            while not seen.endswith(b"enough"):
                seen = seen[-1000:] + await loop.sock_recv(peer, 1 << 20)
        assert seen.count(b"state") == 1
        assert b"state  999" in seen
    await world.all_gone()


async def test_a_peer_that_takes_nothing_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT_S", 0.01)
    async with full(world):
        await world.all_gone()


async def test_a_peer_that_does_not_answer_pings_is_given_up(world: World) -> None:
    async with wire(world) as peer:
        (socket,) = world.port.open
        socket.beat(1000.0)
        socket.beat(1059.0)
        assert await peer.frame() == await peer.frame() == (0x89, b"")
        peer.send(0x8A, b"")
        peer.send(0x81, b"after")
        assert await peer.frame() == (0x81, b"after")
        socket.beat(2000.0)
        socket.beat(2061.0)
        assert await peer.frame() == (0x89, b"")
        assert await peer.close_code() == 1011


def test_frames_are_those_of_the_rfc() -> None:
    assert frame_of("a") == b"\x81\x01a"
    assert frame_of(b"a" * 126) == b"\x82\x7e\x00\x7e" + b"a" * 126
    assert frame_of(Shared("a" * 65_536)) == b"\x81\x7f" + (65_536).to_bytes(8, "big") + b"a" * 65_536
    assert frame_of("ü") == b"\x81\x02\xc3\xbc"


@pytest.mark.parametrize(
    ("peer", "told"),
    [(("127.0.0.1", 5), None), (("::1", 5, 0, 0), None), (("10.0.0.7", 5), "10.0.0.7"), (None, None)],
)
def test_the_client_is_who_connects(peer: Any, told: str | None) -> None:
    assert address_of(peer) == told
    assert Handshake("/", "", {}, told).query_params.get("token") is None
