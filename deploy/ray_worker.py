"""What Ray's raylet starts as a worker: asks the fork server for it, and is one itself where there is none.

A worker begins with two seconds of imports and compiled kernels to load; the fork server (`deploy.fork_server`) has them in
memory and forks. Nothing but what is needed to ask is imported here. This process stays until the worker has made itself
known to the raylet, which looks after the process that it started until then.
"""

import os
import socket
import sys
from typing import Final

ADDRESS: Final = "RAYPIT_FORK_SERVER"
"""Path of the fork server's socket, in the environment."""
LENGTH_BYTES: Final = 4
REACH_S: Final = 40.0
"""To be heard; less than the minute that the raylet gives a worker."""


def main() -> None:
    path = os.environ.get(ADDRESS)
    if path and asked(path, request(sys.argv[1:])):
        return
    become_worker(sys.argv[1:])


def request(arguments: list[str]) -> bytes:
    """What a worker is made of: working directory, arguments, environment. Neither of them can have zero bytes."""
    environment = [name + b"=" + value for name, value in os.environb.items()]
    parts = [os.getcwdb(), b"%d" % os.nice(0), b"%d" % len(arguments), *map(os.fsencode, arguments), *environment]
    return b"\0".join(parts)


def asked(path: str, wanted: bytes) -> bool:
    """Whether there was a worker; it has told the raylet of itself, or ended, when this returns."""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.settimeout(REACH_S)
            link.connect(path)
            socket.send_fds(link, [len(wanted).to_bytes(LENGTH_BYTES, "big")], [0, 1, 2])
            link.sendall(wanted)
            taken = link.recv(1)
            link.settimeout(None)
        except OSError:
            return False
        if taken:
            link.recv(1)  # ends with the worker's copy of the link
        return bool(taken)


def become_worker(arguments: list[str]) -> None:
    """Ray's own program instead of this one."""
    from importlib.util import find_spec

    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    program = os.path.join(os.path.dirname(ray.origin), "_private", "workers", "default_worker.py")
    os.execv(sys.executable, [sys.executable, program, *arguments])  # noqa: S606  Ray's program, its arguments


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file: no place to look for modules
    main()
