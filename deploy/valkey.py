"""The embedded Valkey (or Redis): market-data bus and cache, in memory only; nothing in it is the truth."""

import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote

from deploy.account import Account, give_folder, reachable_binary
from deploy.binaries import Binary, find_valkey
from deploy.embedded import EmbeddedServer, spawn

_PASSWORD = "valkey-password"  # noqa: S105  the secret's name
PROBE_LIMIT_S = 1.0

SETTINGS: Mapping[str, str] = {
    "port": "0",
    "unixsocketperm": "700",
    "save": '""',
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
    "client-output-buffer-limit": "pubsub 16mb 4mb 30",
    "daemonize": "no",
    "logfile": '""',
}


class EmbeddedValkey(EmbeddedServer):
    """`start()` returns a URL for redis-py."""

    name = "valkey"
    preferred_users = ("valkey", "redis")
    death_signal = signal.SIGTERM
    stop_signals = (signal.SIGTERM,)
    start_limit_s = 15.0
    socket_name = "valkey.sock"

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` go over SETTINGS."""
        super().__init__(data_dir)
        self.settings = {**SETTINGS, **(settings or {})}
        self.program = self.mark  # the title that `_prepare` asks for
        self.binary: Binary | None = None
        """Set by `start()`."""

    @property
    def socket_path(self) -> Path:
        return self._socket_folder / self.socket_name

    def address(self) -> str:
        return f"unix://{quote(str(self.socket_path))}?password={self.data.secret(_PASSWORD)}"

    def _prepare(self, account: Account) -> None:
        self.binary = reachable_binary(find_valkey(), account)
        give_folder(self.folder, account)

    def _launch(self, account: Account, output: IO[bytes]) -> subprocess.Popen[bytes]:
        assert self.binary is not None
        # Settings by standard input: command lines are public, a file would be a second copy of the password.
        settings = self.settings | {
            "unixsocket": f"{self._socket_option()}/{self.socket_name}",
            "requirepass": self.data.secret(_PASSWORD),
        }
        feed = "".join(f"{name} {value}\n" for name, value in settings.items()).encode()
        title = f"{self.mark} {{listen-addr}}"
        command: list[str | Path] = [self.binary.path, "-", "--proc-title-template", title]
        # The folder is the working directory: a switched user needs no way to it.
        return spawn(command, self.folder, account, self.death_signal, output, feed)

    def _ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PROBE_LIMIT_S)
                client.connect(str(self.socket_path))
                client.sendall(f"AUTH {self.data.secret(_PASSWORD)}\r\nPING\r\n".encode())
                with client.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False
