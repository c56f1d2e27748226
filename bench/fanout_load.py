"""The listeners of `bench.fanout`: a process of its own that reads a thousand sockets by epoll and knows how long a frame is.

Every update has the same length, so that a frame costs the load one look at its first byte, and not the parsing that a client
would do: the load shares its cores with the gateway.
"""

import contextlib
import ctypes
import multiprocessing
import resource
import select
import socket
import time
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from typing import Any, Final

import numpy as np

CONNECT_LIMIT_S: Final = 60.0
_TEXT: Final = 0x81
_PING: Final = 0x89
_PONG: Final = bytes([0x8A, 0x80]) + bytes(4)
_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="
STAMP_BYTES: Final = 19
"""Nanoseconds since the epoch, in digits."""
_SPARE_FILES: Final = 64


class Shared:
    """What both processes look at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.delivered: Any = RawValue(ctypes.c_longlong, 0)
        self.timing: Any = RawValue(ctypes.c_bool, False)
        self.ending = context.Event()


class Listeners:
    """The load's side: `count` sockets that take every update."""

    def __init__(self, host: str, port: int, path: str, count: int, frame_bytes: int, stamp_at: int) -> None:
        self._shared = Shared()
        context = multiprocessing.get_context("spawn")
        self._told, child = context.Pipe()
        arguments = (self._shared, child, host, port, path, count, frame_bytes, stamp_at)
        self._process = context.Process(target=_listen, args=arguments, daemon=True)
        self._process.start()
        if not self._told.poll(CONNECT_LIMIT_S) or self._told.recv() != count:
            raise ConnectionError(f"not all of {count} sockets were opened; is the limit of open files high enough?")

    @property
    def delivered(self) -> int:
        return int(self._shared.delivered.value)

    def time(self, on: bool) -> None:
        self._shared.timing.value = on

    def end(self) -> tuple[np.ndarray[Any, np.dtype[np.int64]], float]:
        """Latencies in ns of what was timed, and the processor time used."""
        self._shared.ending.set()
        latencies, cpu_s = self._told.recv()
        self._process.join()
        return np.frombuffer(latencies, np.int64), cpu_s


def _listen(
    shared: Shared, told: Connection, host: str, port: int, path: str, count: int, frame_bytes: int, stamp_at: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + _SPARE_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + _SPARE_FILES), hard))
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_open(host, port, path)) for _ in range(count)]
        told.send(len(opened))
        told.send(_read(shared, opened, frame_bytes, stamp_at))


def _open(host: str, port: int, path: str) -> socket.socket:
    peer = socket.create_connection((host, port), timeout=10)
    peer.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # byte by byte: what follows belongs to the first frame
        if not (part := peer.recv(1)):
            break
        answer += part
    if b" 101 " not in answer[:16]:
        raise ConnectionError(f"the upgrade was refused: {answer[:80]!r}")
    peer.setblocking(False)
    return peer


def _read(shared: Shared, opened: list[socket.socket], frame_bytes: int, stamp_at: int) -> tuple[bytes, float]:
    poll = select.epoll()
    by_number = {peer.fileno(): peer for peer in opened}
    left = dict.fromkeys(by_number, 0)
    """Bytes that still belong to the frame that began before."""
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    buffer = bytearray(1 << 20)
    latencies: list[int] = []
    ending, timing, delivered = shared.ending.is_set, shared.timing, shared.delivered
    clock = time.time_ns
    while not ending():
        for number, _ in poll.poll(0.2):
            size = by_number[number].recv_into(buffer)
            if not size:
                raise ConnectionError("the exchange closed a socket")
            at, frames, timed = left[number], 0, timing.value
            while at < size:
                if buffer[at] == _TEXT:
                    frames += 1
                    if timed and at + stamp_at + STAMP_BYTES <= size:
                        latencies.append(clock() - int(buffer[at + stamp_at : at + stamp_at + STAMP_BYTES]))
                    at += frame_bytes
                elif buffer[at] == _PING:
                    by_number[number].send(_PONG)
                    at += 2
                else:
                    raise ConnectionError(f"an unexpected frame: {buffer[at]:#x}")
            left[number] = at - size
            delivered.value += frames
    return np.array(latencies, np.int64).tobytes(), time.process_time()
