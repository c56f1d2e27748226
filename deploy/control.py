"""Questions of the command line to the supervisor of a running exchange, over a socket in its run folder."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.config import Settings
from deploy.state_file import RunningState


class Control:
    """Listens from the start until `close`."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self._settings = settings
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        threading.Thread(target=self._answer_all, name="control", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next question
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _answer_all(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            # Each beside the others: to come to a market time may take long, and somebody watches it meanwhile.
            threading.Thread(target=self._answer_one, args=(peer,), name="answer", daemon=True).start()

    def _answer_one(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(Exception):
            peer.settimeout(10)
            method = peer.recv(1024).decode()
            peer.sendall(msgspec.msgpack.encode(_answer(self._settings, method), enc_hook=str))


def _answer(settings: Settings, method: str) -> Any:
    from actors import remote

    names = remote.names(settings)
    if method == "status":
        return {name: _try(lambda n=name: remote.ask(n, "status")) for name in names}  # type: ignore[misc]
    if method == "digest":
        stateful = [name for name in names if name.startswith(("book-", "account-"))]
        return {name: remote.ask(name, "digest", 60.0) for name in stateful}
    if method.startswith("time"):
        from deploy.market_time import answer

        return answer(settings, method.removeprefix("time").strip())
    return {"error": f"unknown question {method}"}


def _try(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return {"error": type(error).__name__}


def ask(state: RunningState, method: str) -> Any:
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
