"""Time stamps inside the processes of an exchange, written as its frames pass: for where the wall time of a lone order goes.

The product knows nothing of this: a profiled exchange starts with `hook/` in its PYTHONPATH, which replaces some methods when
their modules are imported. A stamp is two words in a file of the process that is mapped into memory; a byte of another file
turns them on. CLOCK_MONOTONIC is the same in every process of a machine.
"""

import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

ENTRIES: Final = 1 << 17
"""Stamps kept by a process, the newest."""
SWITCH: Final = "on"
_RECORD: Final = struct.Struct("<qq")
_HEAD: Final = struct.Struct("<q")
_PR_SET_PTRACER: Final = 0x59616D61
_ANY: Final = ctypes.c_ulong(-1)

BEFORE: Final = {
    ("serve.sockets.data_socket", "DataSocket", "on_ws_frame"): "frame",
    ("actors.stream", "Link", "buffer_updated"): "received",
    ("actors.stream", "Link", "send"): "send",
    ("actors.journal", "Journal", "append"): "append",
}
"""Methods and how the moment of their call is named."""
AFTER: Final = {
    ("serve.sockets.data_socket", "DataSocket", "flush"): "written",
    ("actors.journal", "Journal", "append"): "appended",
}
"""The same of their return."""
NAMES: Final = (*dict.fromkeys((*BEFORE.values(), *AFTER.values())),)


class Stamp(msgspec.Struct, frozen=True):
    point: str
    at_ns: int


# -- in the exchange's processes ----------------------------------------------------------------------------------


def install(folder: str) -> None:
    _let_samplers_in()
    os.register_at_fork(after_in_child=_let_samplers_in)
    sys.meta_path.insert(0, _Finder(Path(folder)))


def _let_samplers_in() -> None:
    """Where a process may only look into its children (Yama), one that we started may be looked into by others of ours."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: Callable[[int], None] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(fullname == module for module, _, _ in (*BEFORE, *AFTER)):
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                assert spec.loader is not None
                spec.loader = _Loader(spec.loader, self._changed)
                return spec
        return None

    def _changed(self, module: ModuleType) -> None:
        if self._stamp is None:
            self._stamp = _Stamper(self._folder)
        points = {key: (BEFORE.get(key), AFTER.get(key)) for key in (*BEFORE, *AFTER) if key[0] == module.__name__}
        for (_, owner, method), names in points.items():
            numbers = [None if name is None else NAMES.index(name) for name in names]
            cls = getattr(module, owner)
            made = getattr(cls, method)
            wrap = _around_async if owner == "Journal" else _around
            setattr(cls, method, wrap(made, self._stamp, *numbers))


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, changed: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._then(module)


def _around(made: Callable[..., Any], stamp: Callable[[int], None], before: int | None, after: int | None) -> Any:
    def call(*args: Any) -> Any:
        if before is not None:
            stamp(before)
        found = made(*args)
        if after is not None:
            stamp(after)
        return found

    return call


def _around_async(made: Callable[..., Any], stamp: Callable[[int], None], before: int | None, after: int | None) -> Any:
    async def call(*args: Any) -> Any:
        if before is not None:
            stamp(before)
        found = await made(*args)
        if after is not None:
            stamp(after)
        return found

    return call


class _Stamper:
    """Stamps into a file of the process that calls, be it a fork of the one that made this."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._switch = _mapped(folder / SWITCH, 1, os.O_RDWR)
        self._ring: mmap.mmap | None = None
        self._written = 0
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._ring, self._written = None, 0

    def __call__(self, point: int) -> None:
        if not self._switch[0]:
            return
        ring = self._ring
        if ring is None:
            size = _HEAD.size + ENTRIES * _RECORD.size
            ring = self._ring = _mapped(self._folder / str(os.getpid()), size, os.O_RDWR | os.O_CREAT)
        _RECORD.pack_into(ring, _HEAD.size + self._written % ENTRIES * _RECORD.size, point, time.monotonic_ns())
        self._written += 1
        _HEAD.pack_into(ring, 0, self._written)


def _mapped(path: Path, size: int, flags: int) -> mmap.mmap:
    file = os.open(path, flags, 0o600)
    try:
        os.truncate(file, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


# -- in the benchmark ---------------------------------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    """Of an exchange that is to be profiled; `folder`: for its stamps, made before."""
    (folder / SWITCH).write_bytes(b"\0")
    hook = str(Path(__file__).parent / "hook")
    paths = [hook, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "BENCH_STAMPS": str(folder)}


@contextlib.contextmanager
def switched_on(folder: Path) -> Iterator[None]:
    _switch(folder, b"\1")
    try:
        yield
    finally:
        _switch(folder, b"\0")


def _switch(folder: Path, value: bytes) -> None:
    with (folder / SWITCH).open("r+b") as file:  # the same file: others have it mapped
        file.write(value)


def read(folder: Path, pid: int) -> list[Stamp]:
    """Of one process, in their order."""
    try:
        data = (folder / str(pid)).read_bytes()
    except OSError:
        return []
    (written,) = _HEAD.unpack_from(data)
    kept = range(max(0, written - ENTRIES), written)
    records = (_RECORD.unpack_from(data, _HEAD.size + k % ENTRIES * _RECORD.size) for k in kept)
    return [Stamp(NAMES[point], at_ns) for point, at_ns in records]
