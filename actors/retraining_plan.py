"""What a scheduled training is asked and what it tells: plain data, nothing here loads a model."""

from typing import Final

import msgspec

HORIZONS: Final = ("1m", "15m", "1h")
"""Of stored minutes; shorter ones need recordings."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    dsn: str
    data_dir: str
    horizons: tuple[str, ...]
    """One after another."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One horizon."""

    rows: int = 0
    """Learned from; 0: nothing was trained."""
    versions: dict[str, int] = {}
    """Registered, by kind."""
    promoted: int | None = None
    reason: str
    """Why that one, why none, or why nothing was trained."""


class Told(msgspec.Struct):
    """How far a training is, and the horizons that are done."""

    fraction: float = 0.0
    done: dict[str, Turn] = {}
    pruned: list[int] = []
    """Versions too old to keep."""


def horizons_of(text: str) -> tuple[str, ...]:
    """Of `1m,15m,1h`; of `none` nothing. ValueError."""
    if text.strip().lower() == "none":
        return ()
    names = tuple(dict.fromkeys(one.strip() for one in text.split(",")))
    for name in names:
        if name not in HORIZONS:
            raise ValueError(f"{name!r} cannot be trained on stored minutes; choose of {', '.join(HORIZONS)}, or none")
    return names
