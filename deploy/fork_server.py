"""Makes Ray's workers by forking: this process has imported what they need and loaded the compiled kernels.

Started by the supervisor, which made the listening socket before, so that nobody can ask too early. It has a single thread and
never starts Ray, it only imports it. A worker forked here does what Ray's `default_worker.py` does, by running that file;
`deploy.ray_worker` is what asks. When this server is gone, workers start in Ray's own way. Tied to the Ray version that is pinned.
"""

import contextlib
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from deploy.ray_worker import LENGTH_BYTES

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""Linux allows less for arguments and environment."""
ASK_LIMIT_S: Final = 5.0
NEEDED: Final = (
    "ray._private.workers.default_worker",
    "ray.serve._private.controller",
    "serve.replica",
    "serve.app",
    "actors.remote",
    "actors.book_actor",
    "actors.account_actor",
    "actors.projector",
    "actors.feed_actor",
)
LOADED: Final = ("book", "ledger", "packed")
"""Parts of `deploy.warm`."""


JOB: Final = "RAY_JOB_ID"
FIRST_JOB: Final = "01000000"
"""Of the first driver of a Ray: the supervisor."""
RAYLET: Final = "RAY_RAYLET_PID"


def environment(parent: int) -> dict[str, str]:
    """For this server. Ray's library reads these once, when it is loaded, and a worker has to have them.

    A worker ends with the process RAY_RAYLET_PID. The raylet does not run yet: until then it is `parent`, and `end_with` does
    what Ray would do.
    """
    # A pool of threads would not live in the children.
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", JOB: FIRST_JOB, RAYLET: str(parent)}


class Request(NamedTuple):
    folder: bytes
    nice: int
    arguments: list[str]
    environment: dict[bytes, bytes]

    @classmethod
    def of(cls, text: bytes) -> "Request":
        folder, nice, count, *rest = text.split(b"\0")
        arguments, environment = rest[: int(count)], rest[int(count) :]
        pairs = (one.partition(b"=") for one in environment)
        return cls(folder, int(nice), [os.fsdecode(one) for one in arguments], {key: value for key, _, value in pairs})


class Asked(NamedTuple):
    link: socket.socket
    request: Request
    files: list[int]
    """Standard input, output and error of who asks."""


def main(listener: socket.socket, kernels: bool) -> Asked:
    """Returns in each child, with what it was asked for. `kernels`: they are compiled, so load them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray does in what it starts
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    _prepare(kernels)
    while True:
        if (asked := _fork(listener)) is not None:
            return asked


def _prepare(kernels: bool) -> None:
    from deploy import warm
    from serve import pace

    gc.disable()  # of what is imported nothing goes
    with pace.without_pandas(), _own_randomness():
        for name in NEEDED:
            importlib.import_module(name)
    pace.haproxy()
    for part in LOADED if kernels else ():
        warm.PARTS[part]()
    _must_differ()
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """To import Ray's actor classes in: each draws an id, by a generator that all children would go on with."""
    from ray import actor

    real = actor.ActorClassID

    class Drawn:
        @staticmethod
        def from_random() -> object:
            return real(os.urandom(real.size()))

    actor.ActorClassID = Drawn
    try:
        yield
    finally:
        actor.ActorClassID = real


def _must_differ() -> None:
    """SystemExit when two children would draw the same ids: then no workers rather than such."""
    from ray._raylet import WorkerID

    drawn = set()
    for _ in range(2):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, WorkerID.from_random().binary())
            os._exit(0)
        os.close(writing)
        drawn.add(os.read(reading, WorkerID.size()))
        os.close(reading)
    if len(drawn) != 2:
        sys.exit("Ray's generator of ids was used before the fork; workers are started in Ray's own way")


def _fork(listener: socket.socket) -> Asked | None:
    """For the next one who asks: what was asked for in the child, None here."""
    link, _ = listener.accept()
    try:
        asked = receive(link)
    except (OSError, ValueError):
        link.close()  # who asked does without
        return None
    if os.fork() == 0:
        listener.close()
        return asked
    for file in asked.files:
        os.close(file)
    link.close()
    return None


def receive(link: socket.socket) -> Asked:
    """ValueError when it is not what `deploy.ray_worker` sends."""
    link.settimeout(ASK_LIMIT_S)
    head, files, _, _ = socket.recv_fds(link, LENGTH_BYTES, 3)
    try:
        length = int.from_bytes(head, "big")
        if len(head) != LENGTH_BYTES or len(files) != 3 or length > MAX_REQUEST_BYTES:
            raise ValueError("not a request")
        text = bytearray()
        while len(text) < length:
            part = link.recv(length - len(text))
            if not part:
                raise ValueError("not a whole request")
            text += part
        link.settimeout(None)
        request = Request.of(bytes(text))
        if request.environment.get(JOB.encode()) != FIRST_JOB.encode() or RAYLET.encode() not in request.environment:
            raise ValueError("a worker of another driver, or of no raylet")
        return Asked(link, request, files)
    except BaseException:
        for file in files:
            os.close(file)
        raise


def take_over(asked: Asked) -> None:
    """Be the process that was asked for."""
    import numpy as np
    from ray._raylet import Config  # type: ignore[attr-defined]

    os.setpgid(0, 0)  # the raylet ends the process group of a worker that is gone
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, file in enumerate(asked.files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(asked.request.folder)
    with contextlib.suppress(OSError):
        os.nice(asked.request.nice - os.nice(0))
    np.random.seed()
    for name in os.environb.keys() - asked.request.environment.keys():
        del os.environb[name]
    os.environb.update(asked.request.environment)
    Config.initialize("")  # Ray has read the environment at import; now it has another one
    end_with(int(asked.request.environment[RAYLET.encode()]))
    asked.link.sendall(b"1")
    gc.enable()


def end_with(pid: int) -> None:
    """End this process as soon as that one has ended."""
    watched = os.pidfd_open(pid)

    def wait() -> None:
        select.select([watched], [], [])
        os._exit(1)

    threading.Thread(target=wait, name="raylet", daemon=True).start()


def become_worker(asked: Asked) -> None:
    """Runs until the worker ends. The link is closed once the raylet knows the worker."""
    from ray._private import worker

    connect = worker.connect

    def connected(*args: object, **named: object) -> object:
        worker.connect = connect
        answer = connect(*args, **named)
        asked.link.close()
        return answer

    worker.connect = connected
    program = Path(worker.__file__).parent / "workers" / "default_worker.py"
    sys.argv = [str(program), *asked.request.arguments]
    sys.path[0] = str(program.parent)
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    found = main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2] == "kernels")
    take_over(found)
    become_worker(found)
