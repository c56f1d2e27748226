"""Spans and instants of time as people write them. Pure; nanoseconds."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from market.intervals import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

MILLISECOND_NS: Final = 1_000_000
_UNITS: Final = {
    "ns": 1, "us": 1_000, "ms": MILLISECOND_NS, "s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS,
}  # fmt: skip
_SPAN: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ns|us|ms|s|m|h|d)")
_MOST_NS: Final = 1 << 62


def span_ns(text: str) -> int:
    """`250ms`, `1s`, `5m`, `1.5h`, `1d`. ValueError says what is expected."""
    found = _SPAN.fullmatch(text.strip())
    made = 0 if found is None else int(Fraction(found[1]) * _UNITS[found[2]])
    if not 0 < made < _MOST_NS:
        raise ValueError(f"{text!r} is not a span above 0, such as 250ms, 1s, 5m, 1h or 1d")
    return made


def instant_ns(text: str) -> int:
    """ISO 8601 (UTC where no zone is told) or milliseconds since 1970. ValueError says what is expected."""
    text = text.strip()
    try:
        if text.isascii() and text.isdigit():
            made = int(text[:20]) * MILLISECOND_NS
        else:
            at = datetime.fromisoformat(text)
            since = at.replace(tzinfo=at.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            made = (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1000
    except (ValueError, OverflowError):
        made = -1
    if not 0 <= made < _MOST_NS:
        raise ValueError(
            f"{text!r} is no time: tell ISO 8601, such as 2026-11-01T09:00:00Z, or milliseconds since 1970"
        )
    return made
