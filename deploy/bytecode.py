"""Keeps compiled Python modules where nobody else does.

Every process of the exchange imports a few thousand modules. Where they were installed without bytecode and may not
leave any (PYTHONDONTWRITEBYTECODE as in many containers, or a read-only environment), each process compiles them all
again: seconds of CPU at every start and every recovery.
"""

import importlib.util
import os
import sys
from pathlib import Path

NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
PREFIX = "PYTHONPYCACHEPREFIX"


def keep(folder: Path, package: str = "ray") -> bool:
    """Before the package is imported: bytecode of this process and its children goes to `folder` if it has no place.

    Whether it does.
    """
    if os.environ.get(PREFIX):
        return False
    if _has_a_place(package):
        _keep_own()
        return False
    os.environ.pop(NO_BYTECODE, None)
    os.environ[PREFIX] = sys.pycache_prefix = str(folder)
    sys.dont_write_bytecode = False
    return True


def _keep_own() -> None:
    """Of our own modules beside them, where numba keeps their kernels too: installed editable, nobody has compiled them."""
    if os.access(Path(__file__).parent, os.W_OK):
        os.environ.pop(NO_BYTECODE, None)
        sys.dont_write_bytecode = False


def _has_a_place(package: str) -> bool:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return True
    cached = Path(importlib.util.cache_from_source(found.origin))
    if cached.exists():
        return True
    return not sys.dont_write_bytecode and os.access(
        cached.parent if cached.parent.exists() else cached.parent.parent, os.W_OK
    )
