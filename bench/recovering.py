"""One actor's service recovering in a process of its own, as after a `kill -9`: what takes how long."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
import uvloop

from actors.config import Settings
from bench.report import BenchError

LIMIT_S: Final = 600.0
_SPAWN: Final = multiprocessing.get_context("spawn")


class Recovered(msgspec.Struct, frozen=True):
    imports_s: float
    """From the start of the process until the service can be made."""
    kernels_s: float
    """The compiled kernels, loaded from numba's cache."""
    recovery_s: float
    """`start()`: snapshot, journal, links; it answers from then on."""
    cpu_s: float
    """Of this process during it."""
    digest: Any

    @property
    def ready_s(self) -> float:
        return self.imports_s + self.kernels_s + self.recovery_s


class Process:
    """Begins to recover at once; lives until it is ended."""

    def __init__(self, role: str, settings: Settings) -> None:
        self._ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_main, args=(role, settings, theirs, time.time()), daemon=True)
        self._process.start()
        theirs.close()

    def recovered(self) -> Recovered:
        try:
            if not self._ours.poll(LIMIT_S):
                raise BenchError(f"no recovery within {LIMIT_S:.0f} s; a bug, please tell")
            found = self._ours.recv()
        except EOFError:
            raise BenchError("a recovering process ended; what it said stands above. A bug, please tell") from None
        assert isinstance(found, Recovered)
        return found

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()


def _main(role: str, settings: Settings, pipe: Connection, spawned_at: float) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_ROLES[role](settings, pipe, spawned_at))


async def _book(settings: Settings, pipe: Connection, spawned_at: float) -> None:
    import market.book
    from actors.book_actor import BookService

    imports_s = time.time() - spawned_at
    kernels_s = _timed(market.book.warm)
    service = BookService(settings, 0)
    began, cpu = time.perf_counter(), time.process_time()
    await service.start()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    running = asyncio.create_task(service.run())
    pipe.send(Recovered(imports_s, kernels_s, took, used, (await service.digest())[1]))
    await running


async def _account(settings: Settings, pipe: Connection, spawned_at: float) -> None:
    import market.ledger
    from actors.account_actor import AccountService

    imports_s = time.time() - spawned_at
    kernels_s = _timed(lambda: market.ledger.warm(settings.instruments()[:1]))
    service = AccountService(settings, 0)

    async def resolve(name: str) -> str:
        return settings.socket(name)

    for follower in service.books:
        follower._resolve = resolve
    began, cpu = time.perf_counter(), time.process_time()
    await service.start()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    running = asyncio.create_task(service.run())
    pipe.send(Recovered(imports_s, kernels_s, took, used, (await service.digest())["digest"]))
    await running


_ROLES: Final[dict[str, Callable[[Settings, Connection, float], Coroutine[Any, Any, None]]]] = {
    "book": _book,
    "account": _account,
}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
