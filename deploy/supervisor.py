"""Starts, watches, restarts and ends everything: PostgreSQL, Valkey, Ray, the actors, the gateway.

A first start and a recovery after any crash are the same path. Everything started here dies with this process.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from actors.logs import configure
from actors.memory import give_back
from actors.phases import Phases
from deploy import bytecode, instruments, orphans, ports, promises, ray_runtime, state_file
from deploy.control import Control
from deploy.data_dir import DataDir
from deploy.errors import ServiceError
from deploy.forking import ForkServer
from deploy.kernels import Compiling
from deploy.migrate import check_durability, migrate
from deploy.postgres import EmbeddedPostgres
from deploy.settings import ASSISTANT_KEY, Options
from deploy.valkey import EmbeddedValkey
from market.feed_spec import Simulated, Venues

if TYPE_CHECKING:
    from serve.assistant.language_model import ModelSettings

log = structlog.get_logger()

WATCH_EVERY_S: Final = 0.5
READY_LIMIT_S: Final = 120.0
RETIRE_LIMIT_S: Final = 5.0
RAY_PROBE_S: Final = 10.0
"""A Ray that does not answer for so long is started anew."""

Progress = Callable[[str], None]


class Supervisor:
    def __init__(self, options: Options, progress: Progress) -> None:
        self.options = options
        self.data = DataDir(Path(options.data))
        self._progress = progress
        self._postgres: EmbeddedPostgres | None = None
        self._valkey: EmbeddedValkey | None = None
        self._fork_server: ForkServer | None = None
        self._stopping = threading.Event()
        self._control: Control | None = None
        self.url = ""
        self._port = 0
        self.data_url = ""
        self._mark = ""
        self.dashboard: str | None = None
        self._folders: list[Path] = []
        self._ray: ray_runtime.RayRuntime | None = None
        self._was_ready = False
        self.warnings: tuple[str, ...] = ()
        """Of the feed, to be shown."""
        # Taken out: what is started from here has no business with it.
        self._assistant_key = os.environ.pop(ASSISTANT_KEY, None) or None
        self._phases = Phases()

    # -- up -------------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start everything; returns when the exchange answers."""
        self.data.lock()
        configure(str(self.data.path), "supervisor")
        self._mark = hashlib.sha256(os.fsencode(self.data.path)).hexdigest()[:16]
        if left := orphans.end(self._mark):
            log.warning("ended processes of an exchange that was killed", processes=left)
        os.environ[orphans.MARK] = self._mark
        market = self._prepare_market()
        self._phases.done("folder")
        run_dir, ray_dir = self._run_dir(), self._ray_dir()
        ray_runtime.prepare_environment(ray_dir.parent)
        bytecode.keep(self.data.path / "bytecode")
        self._ray = ray_runtime.RayRuntime(self.options.ray, self.options.dashboard, ray_dir)
        compiling = Compiling(self.data)
        if self.options.ray is None:
            self._start_fork_server(ray_dir.parent / "fork.sock", kernels=not compiling.needed)
        self._progress("PostgreSQL")
        pg_dsn = self._start_postgres()
        self._phases.done("postgres")
        self._progress("Valkey")
        redis_url = self._start_valkey()
        self._phases.done("valkey")
        self._progress("database schema")
        asyncio.run(self._prepare_database(pg_dsn, market))
        instruments.keep(self.data.path, market)
        self._phases.done("schema")
        from actors.config import Settings

        self.settings = Settings(
            data_dir=str(self.data.path),
            run_dir=str(run_dir),
            pg_dsn=pg_dsn,
            redis_url=redis_url,
            symbols=promises.symbols_of(self.options, market),
            feed=str(self.options.feed_spec),
            market_time=promises.market_time(market),
            replay_speed=self.options.replay_speed,
            replay_loop=self.options.loop,
            rate=self.options.rate if isinstance(self.options.feed_spec, Simulated) else 0.0,
            seed=self.options.seed,
            book_actors=self.options.book_actors,
            account_actors=self.options.account_actors,
            binance_limits=self.options.binance_limits,
            binance_strict=self.options.binance_strict,
            keep_ticks=self.options.keep_ticks,
            keep_seconds=self.options.keep_seconds,
            backfill_ns=self.options.backfill_ns if isinstance(self.options.feed_spec, Venues) else 0,
            export_dir=self.options.export_dir,
            retrain=self.options.horizons,
            data_host=self.options.host,
            data_port=self._choose_ports(),
        )
        self._start_ray(compiling)
        self._control = Control(self._folders[0] / "control.sock", self.settings)
        state_file.write(
            self.data.path,
            state_file.RunningState(
                os.getpid(),
                self.url,
                self.dashboard,
                str(self._control.path),
                pg_dsn,
                redis_url,
                time.time(),
                self.data_url,
            ),
        )
        self._was_ready = True
        log.info("exchange ready", seconds=self._phases.seconds)
        give_back()

    def _start_postgres(self) -> str:
        if self.options.pg is not None:
            return self.options.pg
        self._postgres = EmbeddedPostgres(self.data.path)
        return self._postgres.start()

    def _start_valkey(self) -> str:
        if self.options.redis is not None:
            return self.options.redis
        self._valkey = EmbeddedValkey(self.data.path)
        return self._valkey.start()

    def _prepare_market(self) -> instruments.Prepared:
        """Symbols of a venue or a recording, before anything starts."""
        from actors.instruments_file import BadInstrumentsFile

        try:
            market = instruments.prepare(self.options.feed_spec, self.data.path, self._progress)
        except BadInstrumentsFile as error:
            raise ServiceError(str(error)) from None
        for warning in market.warnings:
            log.warning(warning)
        self.warnings = market.warnings
        return market

    async def _prepare_database(self, dsn: str, market: instruments.Prepared) -> None:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await check_durability(connection)
            await promises.keep_promises(connection, self.options, market)
        finally:
            await connection.close()

    def _start_fork_server(self, path: Path, kernels: bool) -> None:
        server = ForkServer(path, self.data.path / "logs" / "fork_server.log")
        try:
            server.start(kernels)
        except OSError as error:  # slower, and nothing else
            log.warning("no fork server: workers start in Ray's own way", error=repr(error))
            return
        self._fork_server = server

    def _run_dir(self) -> Path:
        """Sockets of the data plane: short paths, ours alone."""
        return self._private_folder(Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")))  # noqa: S108

    def _ray_dir(self) -> Path:
        """Ray's logs and sockets; what a killed exchange left there goes."""
        folder = self._private_folder(Path("/tmp")) / "ray"  # noqa: S108  Ray refuses longer paths
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _private_folder(self, base: Path) -> Path:
        """Of this data folder, in `base`; removed at the end."""
        name = f"raypit-{hashlib.blake2b(os.fsencode(self.data.path), digest_size=6).hexdigest()}"
        folder = base / name
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ServiceError(f"{folder} is not a private folder of ours. Remove it, then start again.")
        if folder not in self._folders:
            self._folders.append(folder)
        return folder

    def _start_ray(self, compiling: Compiling | None = None) -> None:
        from actors import remote

        assert self._ray is not None
        self._progress("Ray")
        self._ray.start()
        self._phases.done("ray")
        if compiling is not None:
            self._progress("matching engine (compiled once)")
            compiling.wait()
        self._phases.done("kernels")
        self._progress("actors")
        try:
            remote.start_all(self.settings)
            self._start_gateway()
            remote.await_all(self._progress)
            self._phases.done("actors")
        except (RuntimeError, TimeoutError, ConnectionError) as error:  # Ray's and Serve's own are among them
            raise _did_not_start(error, self.data.path) from error
        self._progress("gateway")
        self._await_ready()
        self._phases.done("ready")
        self.dashboard = self._ray.start_dashboard()

    def _start_gateway(self) -> None:
        from serve import pace

        with pace.without_pandas():
            from ray import serve as ray_serve

            from serve import predictor
            from serve.replica import APP_NAME, deployment
        pace.driver()

        port = self._port
        ports.must_be_free(self.options.host, port, "--port")
        ports.must_be_free(self.options.host, self.settings.data_port, "--data-port")
        ray_serve.start(
            http_options={"host": self.options.host, "port": port},
            proxy_location="HeadOnly",
            logging_config={"enable_access_log": False, "log_level": "ERROR"},
        )
        self._phases.done("serve")
        gateway = deployment(self.settings, self.data.token_secret(), self._language_model())
        ray_serve.run(gateway, name=APP_NAME, route_prefix="/")
        self._phases.done("gateway")
        predictor.start(self.settings)
        shown = "127.0.0.1" if self.options.host in ("0.0.0.0", "::") else self.options.host  # noqa: S104
        self.url = f"http://{shown}:{port}"
        self.data_url = f"ws://{shown}:{self.settings.data_port}"

    def _choose_ports(self) -> int:
        """For the life of this process; the data port is told."""
        self._port = self.options.port or ray_runtime.free_port()
        given = self.options.data_port
        if given:
            return given
        if given is None and 0 < self.options.port < 65535 and ports.is_free(self.options.host, self.options.port + 1):
            return self.options.port + 1
        while (found := ray_runtime.free_port()) == self._port:
            pass
        return found

    def _language_model(self) -> "ModelSettings | None":
        url, model = self.options.assistant_url, self.options.assistant_model
        if url is None or model is None:
            return None
        from serve.assistant.language_model import ModelSettings

        return ModelSettings(url, model, self._assistant_key)

    def _await_ready(self) -> None:
        from urllib.request import urlopen

        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(f"{self.url}/health/ready", timeout=2) as answer:  # noqa: S310
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise ServiceError(
            f"the gateway at {self.url} was not ready after {READY_LIMIT_S:.0f} s. See {self.data.path}/logs."
        )

    # -- watch ----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Restart what dies, until asked to stop."""
        misses = 0.0
        while not self._stopping.wait(WATCH_EVERY_S):
            try:
                for server in (self._postgres, self._valkey, self._fork_server):
                    if server is not None and not server.alive():
                        log.error("died, starting it anew", server=server.name)
                        server.start()
                misses = 0.0 if self._ray_answers() else misses + WATCH_EVERY_S
                if misses >= RAY_PROBE_S:
                    log.error("Ray does not answer, starting it anew")
                    self._restart_ray()
                    misses = 0.0
            except Exception:
                log.exception("restart failed, will be tried again")

    def _ray_answers(self) -> bool:
        import ray

        try:
            return bool(ray.is_initialized()) and any(node["Alive"] for node in ray.nodes())
        except Exception:
            return False

    def _restart_ray(self) -> None:
        assert self._ray is not None
        with contextlib.suppress(Exception):
            self._ray.stop()
        self._start_ray()

    def stop(self) -> None:
        self._stopping.set()

    # -- down -----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """End everything that was started here, in good order, and nothing else."""
        with contextlib.suppress(Exception):
            self._end_ray()
        if self._mark:
            orphans.end(self._mark)
        for server in (self._fork_server, self._valkey, self._postgres):
            if server is not None:
                server.stop()
        if self._control is not None:
            self._control.close()
        state_file.remove(self.data.path)
        if self._was_ready:  # else Ray's logs in there may tell why it did not start
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
        self.data.unlock()

    def _end_ray(self) -> None:
        if self._ray is None or "ray" not in sys.modules:
            return
        import ray

        try:
            if ray.is_initialized():
                self._end_actors()
        finally:
            self._ray.stop()

    def _end_actors(self) -> None:
        from actors import remote

        try:
            asyncio.run(_retire_gateway())
        except Exception as error:
            log.warning("sockets are cut, not closed", error=repr(error))
        for name in reversed(remote.names(self.settings)):
            self._progress(f"ending {name}")
            with contextlib.suppress(Exception):
                remote.ask(name, "stop", 30.0)


async def _retire_gateway() -> None:
    """Serve's own shutdown waits for open sockets and then cuts them, so they are closed before."""
    from ray import serve as ray_serve

    from serve.replica import APP_NAME, DEPLOYMENT

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    handle = ray_serve.get_deployment_handle(DEPLOYMENT, APP_NAME)
    async with asyncio.timeout(RETIRE_LIMIT_S):
        await handle.broadcast("retire").results_async()


def _did_not_start(error: Exception, data: Path) -> ServiceError:
    reason = str(error).strip().rpartition("\n")[2] or type(error).__name__
    return ServiceError(
        f"the exchange did not start: {reason} "
        f"See {data}/logs. The load of this machine is {os.getloadavg()[0]:.1f}; if that is high, start again when it is quiet."
    )
