"""Which recordings a data folder began with. Its journal counts their commands: of others, the wrong ones would be left out."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.errors import ServiceError
from deploy.recording_report import when
from market.recording import Reader


class Mark(msgspec.Struct, frozen=True):
    name: str
    """Of the file; it may be another one day."""
    venue: str
    first_ns: int | None
    blocks: int
    """At least so many: a recording may have grown."""

    def __str__(self) -> str:
        return f"{self.name} ({self.venue}, from {when(self.first_ns)})"


def marks_of(files: Sequence[str]) -> tuple[Mark, ...]:
    """Raises OSError, `Damaged`."""
    return tuple(_mark_of(Path(one)) for one in files)


def _mark_of(path: Path) -> Mark:
    with path.open("rb") as file:
        reader = Reader(file)
        return Mark(path.name, reader.header.venue, reader.first_ns, len(reader.blocks))


def check_marks(promised: Sequence[Mark], now: Sequence[Mark]) -> None:
    """ServiceError unless `now` begins with what was promised."""
    if len(now) >= len(promised) and all(map(_goes_on, promised, now)):
        return
    raise ServiceError(
        f"this data folder was made with other recordings: {', '.join(map(str, promised))}. Name them first and in that "
        "order in --feed replay:FILE[,FILE], whole as they were, or use another --data."
    )


def _goes_on(promised: Mark, now: Mark) -> bool:
    return (now.venue, now.first_ns) == (promised.venue, promised.first_ns) and now.blocks >= promised.blocks
