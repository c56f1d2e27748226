"""Everything that Ray sees: the actor classes, their options, how they are made and found.

A Ray actor here is a thin host: its service runs on an event loop of its own in a thread, so that Ray's calls
(control, health, metrics) and the data plane do not wait for each other. When the service fails, the process ends and
Ray revives it: the constructor is the recovery.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import ray
import structlog
from prometheus_client.metrics_core import Metric

from actors.config import NAMESPACE, Settings, account_name, book_name
from actors.give_way import READ_MODELS_NICE
from actors.memory import give_back

log = structlog.get_logger()

RECOVERY_LIMIT_S: Final = 600.0
EXIT_FAILED: Final = 70


class Service(Protocol):
    name: str
    metrics: Any

    async def start(self) -> None: ...
    async def run(self) -> None: ...
    async def stop(self) -> None: ...
    def status(self) -> dict[str, object]: ...


class ServiceThread:
    """An event loop in a thread with one service on it. Not an actor: Ray makes actors with coroutines asynchronous."""

    def __init__(self, make: Callable[[], Service]) -> None:
        self._make = make
        self._ready: concurrent.futures.Future[Service] = concurrent.futures.Future()
        threading.Thread(target=self._main, name="service", daemon=True).start()
        self.service = self._ready.result(RECOVERY_LIMIT_S)

    def do(self, work: Coroutine[Any, Any, Any], timeout: float = 60.0) -> Any:
        """Run a coroutine on the service's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _main(self) -> None:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            service = self._make()
            await service.start()
        except BaseException as error:
            log.exception("recovery failed")
            self._ready.set_exception(error)
            return
        give_back()
        self._ready.set_result(service)
        try:
            await service.run()
        except asyncio.CancelledError:
            return
        except BaseException:
            log.exception("service failed: ending the process, Ray starts it anew", name=service.name)
            os._exit(EXIT_FAILED)


class Host:
    """What Ray sees of a service."""

    def __init__(self, settings: Settings, name: str, make: Callable[[], Service], nice: int = 0) -> None:
        from actors.logs import configure

        configure(settings.data_dir, name)
        if nice:
            os.nice(nice)
        self._settings = settings
        self._thread = ServiceThread(make)
        self._service: Any = self._thread.service

    def endpoint(self) -> str:
        return self._settings.socket(self._service.name)

    def pid(self) -> int:
        return os.getpid()

    def status(self) -> dict[str, object]:
        return {**self._service.status(), "pid": os.getpid()}

    def collect(self) -> list[Metric]:
        found: list[Metric] = self._service.metrics.collect()
        return found

    def digest(self) -> Any:
        return self._thread.do(self._service.digest())

    def stop(self) -> None:
        with contextlib.suppress(Exception):
            self._thread.do(self._service.stop(), 20.0)


class BookActor(Host):
    """`book-<n>`"""

    def __init__(self, settings: Settings, partition: int) -> None:
        from actors.book_actor import BookService

        super().__init__(settings, book_name(partition), lambda: BookService(settings, partition))


class AccountActor(Host):
    """`account-<n>`"""

    def __init__(self, settings: Settings, partition: int) -> None:
        from actors.account_actor import AccountService

        super().__init__(settings, account_name(partition), lambda: AccountService(settings, partition))


class ProjectorActor(Host):
    """`projector`. Nice: read models give way to the order path when the machine is full."""

    def __init__(self, settings: Settings) -> None:
        from actors.projector import ProjectorService

        super().__init__(settings, "projector", lambda: ProjectorService(settings), READ_MODELS_NICE)

    def queue(self, symbol: int, order_id: int) -> Any:
        """`ProjectorService.queue`"""
        return self._thread.do(self._service.queue(symbol, order_id), 5.0)


class FeedActor(Host):
    """`feed`"""

    def __init__(self, settings: Settings) -> None:
        from actors.feed_actor import FeedService

        super().__init__(settings, "feed", lambda: FeedService(settings))

    def time_status(self) -> dict[str, Any]:
        """What market time is and how it goes on: `ReplayMarket.time_status`."""
        found: dict[str, Any] = self._service.time_status()
        return found

    def time_control(
        self, action: str, at_ns: int | None = None, speed: float | None = None, span_ns: int | None = None
    ) -> dict[str, Any]:
        """`ReplayMarket.control`. ValueError names the field."""
        found: dict[str, Any] = self._thread.do(self._service.time_control(action, at_ns, speed, span_ns))
        return found


def start(cls: type[Host], name: str, *args: Any) -> Any:
    """Start a named actor, or find the one that runs. It ends with the driver that started it."""
    return (
        ray.remote(cls)
        .options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=4,
            enable_task_events=False,
        )
        .remote(*args)
    )


def has_feed(settings: Settings) -> bool:
    """Whether anything but the users moves the market."""
    return settings.feed != "none" and (settings.feed != "simulated" or settings.rate > 0)


def names(settings: Settings) -> list[str]:
    """Every actor of the exchange, in the order of starting."""
    found = [book_name(k) for k in range(settings.book_actors)]
    found += [account_name(k) for k in range(settings.account_actors)]
    found.append("projector")
    if has_feed(settings):
        found.append("feed")
    return found


_kept: dict[str, Any] = {}
"""Handles: the last one gone would end its actor."""


def start_all(settings: Settings) -> None:
    """Start every actor; each finds the others by itself, so none waits for another here."""
    for k in range(settings.book_actors):
        _kept[book_name(k)] = start(BookActor, book_name(k), settings, k)
    for k in range(settings.account_actors):
        _kept[account_name(k)] = start(AccountActor, account_name(k), settings, k)
    _kept["projector"] = start(ProjectorActor, "projector", settings)
    if has_feed(settings):
        _kept["feed"] = start(FeedActor, "feed", settings)


def await_all(on_wait: Callable[[str], None]) -> None:
    """Until every actor has recovered; raises what kept one from it."""
    for name, handle in _kept.items():
        on_wait(name)
        ray.get(handle.pid.remote(), timeout=RECOVERY_LIMIT_S)


def ask(name: str, method: str, timeout: float = 5.0, *args: Any) -> Any:
    """Call a method of a named actor and wait."""
    handle = ray.get_actor(name, namespace=NAMESPACE)
    return ray.get(getattr(handle, method).remote(*args), timeout=timeout)
