"""The digest of everything that is compiled into the kernels.

Numba's cache notices a change in the file of the cached function, but none in the functions and constants
that went into it from other files. A kernel that closes over this digest is recompiled when
any of them changes.
"""

from hashlib import blake2b
from pathlib import Path

_CONSTANTS_FROM = ("enums.py", "instrument.py", "numbering.py", "reasons.py", "records.py")


def source_digest() -> str:
    here = Path(__file__).parent
    digest = blake2b(digest_size=16)
    for path in [*sorted(here.glob("*.py")), *(here.parent / name for name in _CONSTANTS_FROM)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
