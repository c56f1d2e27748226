"""A venue over real sockets: plays a tape to whoever subscribed, serves its book by REST, and misbehaves as told.

The tape moves only in `play`, so a test decides what happens before and after what. Frame numbers of the faults are
positions on the tape. What is dropped or stalled happened at the venue all the same.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.venues.tapes import Tape


@dataclass
class Faults:
    drop: set[int] = field(default_factory=set)
    duplicate: set[int] = field(default_factory=set)
    reorder: set[int] = field(default_factory=set)
    """The frame comes after the next one."""
    close_at: set[int] = field(default_factory=set)
    """Every connection breaks (1006) before the frame."""
    half_open_at: set[int] = field(default_factory=set)
    """From here on the connections that are open hear nothing more, no pong either."""
    bad_frame_at: set[int] = field(default_factory=set)
    """Something that is no JSON comes before the frame."""
    refuse_dials: int = 0
    snapshot_status: list[int] = field(default_factory=list)
    """Answers to the next REST requests instead of a book."""
    old_snapshots: int = 0
    """So many REST requests get the book as it was before the first frame."""
    frames_before_opening: int = 0
    """A new subscription to a book hears so many frames before its snapshot."""
    no_opening: int = 0
    """So many new subscriptions to books get no snapshot."""
    notice: bytes | None = None
    """Sent to everybody before the next frame, once."""


class Peer:
    """A connected client."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.ws = ws
        self.request = request
        self.topics: set[str] = set()
        self.late_openings: list[str] = []
        self.frames_left = 0
        self.deaf = False
        """Half open: it hears nothing."""
        self.heard = 0


class FakeVenue:
    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.faults = Faults()
        self.at = 0
        """The next frame of the tape."""
        self.peers: list[Peer] = []
        self.dials = 0
        self.pings = 0
        self.asked: list[bytes] = []
        self.requests = 0
        self.answers: dict[str, bytes | Callable[[Mapping[str, str]], bytes]] = {}
        """To GETs, by path, maybe made of the query; before what the tape would answer."""
        self.paths: list[str] = []
        """Of all GETs, with their queries."""
        self.changed = asyncio.Condition()
        self.url = ""
        self._first_book = tape.rest("/depth") if tape.book.seq and hasattr(tape, "DEPTH") else None

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws") + "/ws"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeVenue"]:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/{path:.*}", self._rest)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = site.name.rstrip("/")
        server = site._server
        assert isinstance(server, asyncio.Server)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            for peer in self.peers:
                await self.cut(peer)
            await runner.cleanup()

    async def play(self, count: int | None = None) -> None:
        """The next frames of the tape, all that are left by default."""
        end = len(self.tape.frames) if count is None else min(len(self.tape.frames), self.at + count)
        while self.at < end:
            number = self.at
            if number in self.faults.close_at:
                for peer in list(self.peers):
                    await self.cut(peer)
            if number in self.faults.half_open_at:
                for peer in self.peers:
                    peer.deaf = True
            numbers = [number]
            if number in self.faults.reorder and number + 1 < len(self.tape.frames):
                numbers = [number + 1, number]
            for one in sorted(numbers):
                self.tape.happened(self.tape.frames[one])
            for one in numbers:
                await self._say(one)
            self.at += len(numbers)
            await asyncio.sleep(0)

    async def until_subscribed(self, peers: int = 1) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: sum(bool(one.topics) for one in self.peers) >= peers)

    async def until_pings(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.pings >= count)

    async def _say(self, number: int) -> None:
        said = self.tape.frames[number]
        if number in self.faults.drop:
            return
        if self.faults.notice is not None:
            notice, self.faults.notice = self.faults.notice, None
            for peer in list(self.peers):
                await self._send(peer, notice)
        for peer in list(self.peers):
            if said.topic not in peer.topics:
                continue
            if number in self.faults.bad_frame_at:
                await self._send(peer, b'{"stream":"btcu')
            for _ in range(2 if number in self.faults.duplicate else 1):
                await self._send(peer, said.frame)
            await self._open_late(peer)

    async def _open_late(self, peer: Peer) -> None:
        if peer.late_openings:
            peer.frames_left -= 1
            if peer.frames_left <= 0:
                topics, peer.late_openings = peer.late_openings, []
                await self._open(peer, topics)

    async def _open(self, peer: Peer, topics: list[str]) -> None:
        for topic in topics:
            frame = self.tape.opening(topic)
            if frame is None:
                continue
            if self.faults.no_opening:
                self.faults.no_opening -= 1
            else:
                await self._send(peer, frame)

    async def _send(self, peer: Peer, frame: bytes) -> None:
        if peer.deaf or peer.ws.closed:
            return
        peer.heard += 1
        try:
            if self.tape.binary:
                await peer.ws.send_bytes(frame)
            else:
                await peer.ws.send_str(frame.decode())
        except ConnectionError:
            pass

    async def cut(self, peer: Peer) -> None:
        """As when a wire is cut: no closing handshake."""
        if peer in self.peers:
            self.peers.remove(peer)
        transport = peer.request.transport
        if transport is not None:
            transport.abort()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.dials += 1
        if self.faults.refuse_dials:
            self.faults.refuse_dials -= 1
            return web.Response(status=503)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        peer = Peer(ws, request)
        self.peers.append(peer)
        try:
            async for message in ws:
                if message.type == WSMsgType.PING:
                    self.pings += 1
                    if not peer.deaf:
                        await ws.pong(message.data)
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    raw = message.data.encode() if message.type == WSMsgType.TEXT else message.data
                    await self._asked(peer, raw)
                await self._tell()
        finally:
            if peer in self.peers:
                self.peers.remove(peer)
            await self._tell()
        return ws

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def _asked(self, peer: Peer, raw: bytes) -> None:
        self.asked.append(raw)
        self.pings += raw.lower() == b"ping" or b"spot.ping" in raw
        topics, answers = self.tape.asked(raw, peer.topics)
        new = sorted(topics - peer.topics)
        peer.topics = topics
        for answer in answers:
            await self._send(peer, answer)
        if self.faults.frames_before_opening:
            peer.frames_left, self.faults.frames_before_opening = self.faults.frames_before_opening, 0
            peer.late_openings = new
        else:
            await self._open(peer, new)

    async def _rest(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.paths.append(request.path_qs)
        if self.faults.snapshot_status:
            status = self.faults.snapshot_status.pop(0)
            return web.Response(status=status, headers={"Retry-After": "0.01"} if status == 429 else {})
        answer = self.answers.get(request.path)
        body = answer(request.query) if callable(answer) else answer
        if body is None:
            body = self.tape.rest(request.path_qs)
        if self.faults.old_snapshots:
            self.faults.old_snapshots -= 1
            body = self._first_book
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="application/json")
