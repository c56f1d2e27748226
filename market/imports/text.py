"""Lines and fields of text files, plain, gzipped or alone in a zip archive; whatever is wrong is told with its place."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, BinaryIO, Final

from market.instrument import INT_LIMIT, places

MAX_LINE_BYTES: Final = 16 << 20
"""A whole book of a busy venue is half a megabyte; more is no line of market data."""

_SCIENTIFIC: Final = re.compile(r"\d{1,40}(?:\.\d{0,40})?[eE][+-]?\d{1,3}", re.ASCII)


class BadInput(ValueError):
    """`file:line: field: what is wrong`; line 0 is the file itself."""

    def __init__(self, file: str, line: int, field: str, wrong: str) -> None:
        self.file, self.line, self.field = file, line, field
        at = f"{file}:{line}" if line else file
        super().__init__(f"{at}: {field}: {wrong}" if field else f"{at}: {wrong}")


def lines(name: str, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line, without its end; empty ones are left out. Never holds more than one."""
    stream = _unpacked(name, file)
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise BadInput(name, number, "", f"a line of more than {MAX_LINE_BYTES} bytes")
            line = line.rstrip(b"\r\n")
            if line:
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise BadInput(name, number + 1, "", f"the archive is damaged: {error}") from error


def _unpacked(name: str, file: BinaryIO) -> IO[bytes]:
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if magic.startswith(b"PK"):
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise BadInput(name, 0, "", f"the archive is damaged: {error}") from error
        members = [one for one in archive.namelist() if not one.endswith("/")]
        if len(members) != 1:
            raise BadInput(name, 0, "", f"{len(members)} files in the archive, expected one")
        try:
            return archive.open(members[0])
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unknown way
            raise BadInput(name, 0, "", str(error)) from error
    return file


class Row:
    """The fields of one CSV line by name."""

    __slots__ = ("_columns", "_file", "cells", "line")

    def __init__(self, file: str, columns: tuple[str, ...]) -> None:
        self._file = file
        self._columns = columns
        self.line = 0
        self.cells: list[str] = []

    def read(self, line: int, text: bytes) -> None:
        """Take the next line; more columns than are named is fine, fewer is not."""
        self.line = line
        try:
            self.cells = text.decode("ascii").split(",")
        except UnicodeDecodeError as error:
            raise self.bad("", "not ASCII") from error
        if len(self.cells) < len(self._columns):
            missing = self._columns[len(self.cells)]
            raise self.bad(missing, f"missing: {len(self.cells)} fields, expected {len(self._columns)}")

    def bad(self, field: str, wrong: str) -> BadInput:
        return BadInput(self._file, self.line, field, wrong)

    def whole(self, at: int) -> int:
        text = self.cells[at]
        if not text.isdigit() or len(text) > 20:
            raise self.bad(self._columns[at], f"{text!r} is no whole number")
        return int(text)

    def signed(self, at: int) -> int:
        text = self.cells[at]
        if not text.removeprefix("-").isdigit() or len(text) > 20:
            raise self.bad(self._columns[at], f"{text!r} is no whole number")
        return int(text)

    def steps(self, at: int, grid: "Grid") -> int:
        try:
            return grid.steps(self.cells[at])
        except ValueError as error:
            raise self.bad(self._columns[at], str(error)) from error

    def flag(self, at: int) -> bool:
        text = self.cells[at].strip().lower()
        if text not in ("true", "false"):
            raise self.bad(self._columns[at], f"{self.cells[at]!r} is neither true nor false")
        return text == "true"


class Grid:
    """Decimal strings to whole steps, exactly."""

    def __init__(self, step: Decimal, rounded_down: bool = False) -> None:
        self.step = step
        self._places = places(step)
        self._per_step = int(step.scaleb(self._places))
        self._rounded_down = rounded_down

    def steps(self, text: str) -> int:
        """Raises ValueError for what is no decimal, negative, off the grid or too large."""
        whole, _, part = text.partition(".")
        digits = whole + part
        if not (digits.isdigit() and digits.isascii()):
            whole, part = self._plain(text)
        rest = part[self._places :].strip("0")
        steps, left = divmod(int(whole + part[: self._places].ljust(self._places, "0")), self._per_step)
        if (rest or left) and not self._rounded_down:
            raise ValueError(f"{text} is no multiple of {self.step}")
        if steps >= INT_LIMIT:
            raise ValueError(f"{text} is too large")
        return steps

    @staticmethod
    def _plain(text: str) -> tuple[str, str]:
        """Scientific notation, which some archives have for small numbers."""
        if not _SCIENTIFIC.fullmatch(text):
            raise ValueError(f"{text!r} is no decimal number")
        value = Decimal(text)
        if abs(value.adjusted()) > 40:
            raise ValueError(f"{text!r} is out of range")
        whole, _, part = format(value, "f").partition(".")
        return whole, part


def nanoseconds(stamp: int) -> int:
    """Milliseconds, microseconds or nanoseconds since the epoch, told apart by size: archives changed over the years."""
    if stamp < 10**14:
        return stamp * 1_000_000
    if stamp < 10**17:
        return stamp * 1_000
    return stamp
