"""The digest of everything that is compiled into the ledger's kernels; why: `market/book/build.py`."""

from hashlib import blake2b
from pathlib import Path

from market.book.build import source_digest as digest_of_book


def source_digest() -> str:
    """The book's too: its `machine.py` and the vocabularies it covers are compiled into this ledger."""
    digest = blake2b(digest_of_book().encode(), digest_size=16)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
