"""Passwords: the policy, and Argon2id off the event loop, two at a time.

A hash costs about 0.14 s of one core and 64 MiB. The turns keep a rush of logins from taking the whole
machine, and give the attempt limits a moment to be checked directly before the work.
"""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

from pwdlib.hashers.argon2 import Argon2Hasher

from serve.errors import ApiError, Code

MIN_CHARS: Final = 10
MAX_CHARS: Final = 128
MIN_DIFFERENT_CHARS: Final = 4

CONCURRENT_HASHES: Final = 2
MAX_WAITING: Final = 150
"""About ten seconds of hashing on the reference machine; a class that logs in at once fits in."""

MEMORY_KIB: Final = 65_536
PASSES: Final = 3
LANES: Final = 1
"""RFC 9106's second choice but for the lanes: several would only take more cores from the matching engine."""

_COMMON_TEXT: Final = """
0123456789 0987654321 1111111111 1122334455 1212121212 123123123123 1234512345 1234554321 1234567890
12345678900 12345678901 123456789012 1234567890a 1234567891 12345678910 123456789a 123456789q 123456abcdef
1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc 1qazxsw23edc 9876543210 a123456789 a1b2c3d4e5 aa12345678 aaaaaaaaaa
abc1234567 abcd123456 abcd1234567 abcde12345 abcdef123456 abcdefghij admin12345 admin123456 adminadmin
administrator asd1234567 asdasdasdasd asdfasdfasdf asdfghjkl1 asdfghjkl123 asdfghjkl; bitcoin123
bitcoin1234 changeme123 changeme1234 computer123 correcthorsebatterystaple drowssap123 football123
football1234 hello12345 helloworld iloveyou12 iloveyou123 iloveyou1234 justinbieber letmein123 letmein1234
liverpool1 liverpool123 manchester michelle123 p@ssw0rd123 p@ssw0rd1234 pa$$w0rd123 pass123456 pass1234567
passpasspass passw0rd123 passw0rd1234 password01 password10 password11 password12 password123 password1234
password12345 password123456 password2024 password2025 password2026 password99 passwordpassword princess12
princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsx1234 qazwsxedc1 qazwsxedcrfv qwer123456 qwer12345678
qwerasdfzxcv qwerty1234 qwerty12345 qwerty123456 qwertyqwerty qwertyuiop qwertyuiop1 qwertyuiop123
raypit1234 raypitraypit secret1234 starwars123 sunshine12 sunshine123 superman123 test123456 test1234567
testtesttest trading1234 trustno1234 welcome123 welcome1234 welcome12345 whatever123 zaq12wsxcde3
zxcvbnm123 zxcvbnm1234 zxcvbnm12345
"""
_COMMON: Final = frozenset(_COMMON_TEXT.split())
"""The most frequent of leaked lists that are long enough to pass the length rule."""


def check_password(password: str, username: str, email: str | None) -> None:
    """Raises WEAK_PASSWORD with the rule that is broken."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise _weak(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    if _encoded(password) is None:
        raise _weak("The password contains characters that are not text.")
    lowered = password.casefold()
    if len(set(lowered)) < MIN_DIFFERENT_CHARS:
        raise _weak(f"A password has at least {MIN_DIFFERENT_CHARS} different characters.")
    names = [username, email or "", (email or "").partition("@")[0]]
    if lowered in (name.casefold() for name in names):
        raise _weak("The password must not be the username or the e-mail address.")
    if lowered in _COMMON:
        raise _weak("This password is one of the most common ones.")


def _weak(text: str) -> ApiError:
    return ApiError(Code.WEAK_PASSWORD, text, "password")


def _encoded(password: str) -> bytes | None:
    """The same bytes from every keyboard: é may be typed as one character or as two. None: not encodable."""
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        return None


class Passwords:
    """Hashes and verifies. Call within `async with turn():`."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._hasher = Argon2Hasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._nobodys_hash = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${'A' * 22}${'A' * 43}"
        """Well-formed, of the same cost, and of no password anyone knows."""
        self._turns = asyncio.Semaphore(CONCURRENT_HASHES)
        # A canceled request gives its turn back while its hash still runs: the pool keeps the true bound.
        self._threads = ThreadPoolExecutor(CONCURRENT_HASHES, thread_name_prefix="argon2")
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises OVERLOADED when too many wait already."""
        if self._waiting >= MAX_WAITING:
            raise ApiError(Code.OVERLOADED, retry_after_s=5)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def hash(self, password: str) -> str:
        """Of a password that passed `check_password`."""
        encoded = _encoded(password)
        assert encoded is not None
        loop = asyncio.get_running_loop()
        hashed: str = await loop.run_in_executor(self._threads, self._hasher.hash, encoded)
        return hashed

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Takes as long when there is no hash to compare with."""
        encoded = _encoded(password) or b"\0"
        loop = asyncio.get_running_loop()
        subject = password_hash or self._nobodys_hash
        same: bool = await loop.run_in_executor(self._threads, self._hasher.verify, encoded, subject)
        return same and password_hash is not None
