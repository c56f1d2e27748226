"""Starts, watches, restarts and ends everything: PostgreSQL, Valkey, Ray, the actors, the gateway.

A first start and a recovery after any crash are the same path. Everything started here dies with this process.
"""

import asyncio
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.logs import configure
from deploy import orphans, ray_runtime, state_file
from deploy.data_dir import DataDir
from deploy.errors import ServiceError
from deploy.migrate import check_durability, migrate
from deploy.postgres import EmbeddedPostgres
from deploy.settings import Options
from deploy.valkey import EmbeddedValkey

log = structlog.get_logger()

WATCH_EVERY_S: Final = 0.5
READY_LIMIT_S: Final = 120.0
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
        self._stopping = threading.Event()
        self._control: socket.socket | None = None
        self.url = ""
        self._port = 0
        self._mark = ""
        self.dashboard: str | None = None

    # -- up -------------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start everything; returns when the exchange answers."""
        self.data.lock()
        configure(str(self.data.path), "supervisor")
        self._mark = hashlib.sha256(os.fsencode(self.data.path)).hexdigest()[:16]
        if left := orphans.end(self._mark):
            log.warning("ended processes of an exchange that was killed", processes=left)
        os.environ[orphans.MARK] = self._mark
        kernels = self._warm()
        self._progress("PostgreSQL")
        pg_dsn = self._start_postgres()
        self._progress("Valkey")
        redis_url = self._start_valkey()
        self._progress("database schema")
        asyncio.run(self._prepare_database(pg_dsn))
        from actors.config import Settings

        self.settings = Settings(
            data_dir=str(self.data.path),
            run_dir=str(self._run_dir()),
            pg_dsn=pg_dsn,
            redis_url=redis_url,
            symbols=self.options.symbols,
            rate=self.options.rate if self.options.feed == "simulated" else 0.0,
            seed=self.options.seed,
            book_actors=self.options.book_actors,
            account_actors=self.options.account_actors,
            binance_limits=self.options.binance_limits,
            binance_strict=self.options.binance_strict,
        )
        self._start_ray(kernels)
        self._open_control()
        state_file.write(
            self.data.path,
            state_file.RunningState(
                os.getpid(), self.url, self.dashboard, self._control_path, pg_dsn, redis_url, time.time()
            ),
        )

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

    async def _prepare_database(self, dsn: str) -> None:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await check_durability(connection)
            await _keep_promises(connection, self.options)
        finally:
            await connection.close()

    def _warm(self) -> "subprocess.Popen[bytes]":
        """Compile the kernels beside everything else; on a first start that takes longest."""
        log_file = (self.data.path / "logs" / "warm.log").open("wb")
        with log_file:
            return subprocess.Popen([sys.executable, "-m", "deploy.warm"], stdout=log_file, stderr=log_file)

    def _await_kernels(self, kernels: "subprocess.Popen[bytes]") -> None:
        self._progress("matching engine (compiled once)")
        if kernels.wait():
            text = (self.data.path / "logs" / "warm.log").read_text(errors="replace")[-2000:]
            raise ServiceError(f"the matching engine does not compile here:\n{text}")

    def _run_dir(self) -> Path:
        """Sockets of the data plane: short paths, ours alone."""
        base = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))  # noqa: S108  the folder below is private
        name = f"raypit-{hashlib.blake2b(os.fsencode(self.data.path), digest_size=6).hexdigest()}"
        folder = base / name
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ServiceError(f"{folder} is not a private folder of ours. Remove it, then start again.")
        return folder

    def _start_ray(self, kernels: "subprocess.Popen[bytes] | None" = None) -> None:
        ray_runtime.prepare_environment()
        from actors import remote

        self._progress("Ray")
        self.dashboard = ray_runtime.start(self.options.ray, self.options.dashboard)
        if kernels is not None:
            self._await_kernels(kernels)
        self._progress("actors")
        remote.start_all(self.settings)
        self._start_gateway()
        remote.await_all(self._progress)
        self._progress("gateway")
        self._await_ready()

    def _start_gateway(self) -> None:
        from ray import serve as ray_serve

        from serve.app import APP_NAME, deployment

        port = self._port = self._port or self.options.port or ray_runtime.free_port()
        _must_be_free(self.options.host, port)
        ray_serve.start(
            http_options={"host": self.options.host, "port": port},
            proxy_location="HeadOnly",
            logging_config={"enable_access_log": False, "log_level": "ERROR"},
        )
        ray_serve.run(deployment(self.settings, self.data.token_secret()), name=APP_NAME, route_prefix="/")
        shown = "127.0.0.1" if self.options.host in ("0.0.0.0", "::") else self.options.host  # noqa: S104
        self.url = f"http://{shown}:{port}"

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
                for server in (self._postgres, self._valkey):
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
        import ray

        with contextlib.suppress(Exception):
            ray.shutdown()
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
        for server in (self._valkey, self._postgres):
            if server is not None:
                server.stop()
        if self._control is not None:
            self._control.close()
            Path(self._control_path).unlink(missing_ok=True)
        state_file.remove(self.data.path)
        self.data.unlock()

    def _end_ray(self) -> None:
        import ray

        if not ray.is_initialized():
            return
        from actors import remote

        for name in reversed(remote.names(self.settings)):
            self._progress(f"ending {name}")
            with contextlib.suppress(Exception):
                remote.ask(name, "stop", 30.0)
        ray.shutdown()

    # -- questions of the command line ----------------------------------------------------------------------------

    def _open_control(self) -> None:
        self._control_path = str(self._run_dir() / "control.sock")
        Path(self._control_path).unlink(missing_ok=True)
        self._control = socket.socket(socket.AF_UNIX)
        self._control.bind(self._control_path)
        self._control.listen(8)
        threading.Thread(target=self._answer_all, name="control", daemon=True).start()

    def _answer_all(self) -> None:
        assert self._control is not None
        while not self._stopping.is_set():
            try:
                peer, _ = self._control.accept()
            except OSError:
                return
            with peer, contextlib.suppress(Exception):
                peer.settimeout(10)
                method = peer.recv(64).decode()
                peer.sendall(msgspec.msgpack.encode(self._answer(method), enc_hook=str))

    def _answer(self, method: str) -> Any:
        from actors import remote

        names = remote.names(self.settings)
        if method == "status":
            return {name: _try(lambda n=name: remote.ask(n, "status")) for name in names}  # type: ignore[misc]
        if method == "digest":
            stateful = [name for name in names if name.startswith(("book-", "account-"))]
            return {name: remote.ask(name, "digest", 60.0) for name in stateful}
        return {"error": f"unknown question {method}"}


def ask(state: state_file.RunningState, method: str) -> Any:
    """Ask the supervisor of a running exchange."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(120)
        peer.connect(state.control)
        peer.sendall(method.encode())
        peer.shutdown(socket.SHUT_WR)
        parts = []
        while part := peer.recv(65536):
            parts.append(part)
    return msgspec.msgpack.decode(b"".join(parts)) if parts else {}


def _try(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return {"error": type(error).__name__}


def _must_be_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServiceError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port.") from None


async def _keep_promises(connection: "asyncpg.Connection[Any]", options: Options) -> None:
    """Partition counts are for life, and symbols are only ever added: journals depend on them."""
    now = {
        "book_actors": options.book_actors,
        "account_actors": options.account_actors,
        "symbols": options.symbols,
    }
    stored = await connection.fetchval("SELECT settings FROM exchange")
    if stored is not None:
        promised = msgspec.json.decode(stored)
        for name in ("book_actors", "account_actors"):
            if promised[name] != now[name]:
                flag = name.replace("_", "-")
                raise ServiceError(
                    f"this data folder was made with --{flag} {promised[name]}, which cannot change. "
                    f"Start with --{flag} {promised[name]}, or use another --data."
                )
        if now["symbols"] < promised["symbols"]:
            raise ServiceError(
                f"this data folder has {promised['symbols']} symbols; they cannot be taken away. "
                f"Start with --symbols {promised['symbols']} or more, or use another --data."
            )
    await connection.execute(
        "INSERT INTO exchange (settings) VALUES ($1) ON CONFLICT (single) DO UPDATE SET settings = excluded.settings",
        msgspec.json.encode(now).decode(),
    )
