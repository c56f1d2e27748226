"""Spans of time in a question: today, yesterday, 24h, 지난 3시간, 어제. Pure: what time it is, is told."""

import re
from typing import Final, NamedTuple

from market.intervals import DAY_NS, HOUR_NS, MINUTE_NS

WEEK_NS: Final = 7 * DAY_NS
MOST_NS: Final = 366 * DAY_NS


class Span(NamedTuple):
    from_ns: int
    to_ns: int
    en: str
    """As it is said in an answer."""
    ko: str


_UNITS: Final = {
    "m": (MINUTE_NS, "minutes", "분"), "h": (HOUR_NS, "hours", "시간"), "d": (DAY_NS, "days", "일"),
    "w": (WEEK_NS, "weeks", "주"),
}  # fmt: skip
_EN: Final = re.compile(r"\b(\d{1,4}) ?(m|min|mins|minutes?|h|hrs?|hours?|d|days?|w|weeks?)\b")
_KO: Final = re.compile(r"(\d{1,4})(분|시간|일|주일?)(?!봉)")
_NUMBERS: Final = {"한": "1", "두": "2", "세": "3", "네": "4", "다섯": "5", "여섯": "6", "열두": "12", "열": "10"}
_KO_UNITS: Final = {"분": "m", "시간": "h", "일": "d", "주": "w", "주일": "w"}

_INTERVAL_EN: Final = re.compile(
    r"\b(1|3|5|15|30)[ -]?(?:m|min|minute)s?[ -]?(?:candle|bar|kline|chart)|\b(1|2|4|6|8|12)[ -]?(?:h|hour)s?[ -]?(?:candle|bar|kline|chart)"
)
_INTERVAL_KO: Final = re.compile(r"(1|3|5|15|30)분봉|(1|2|4|6|8|12)시간봉")


def interval_of(text: str, tight: str) -> tuple[str | None, str, str]:
    """A candle's width (`15m`, `1h`, `1d`), and both texts without it."""
    for pattern, given in ((_INTERVAL_EN, text), (_INTERVAL_KO, tight)):
        if match := pattern.search(given):
            found = f"{match[1]}m" if match[1] else f"{match[2]}h"
            rest = given[: match.start()] + " candle " + given[match.end() :]
            return (found, rest, tight) if given is text else (found, text, rest.replace(" ", "") + "봉")
    for name, english, korean in (
        ("1h", r"\bhourly\b", "시간봉"),
        ("1d", r"\bdaily\b", "일봉"),
        ("1m", r"\bminutely\b", "분봉"),
    ):
        if re.search(english, text) or korean in tight:
            return name, text, tight
    return None, text, tight


def span_of(text: str, tight: str, now_ns: int, offset_minutes: int) -> Span | None:
    """None: the question names none."""
    offset_ns = offset_minutes * MINUTE_NS
    midnight = (now_ns + offset_ns) // DAY_NS * DAY_NS - offset_ns
    if "yesterday" in text or "어제" in tight or "전날" in tight:
        return Span(midnight - DAY_NS, midnight - 1, "yesterday", "어제")
    if re.search(r"\btoday\b|\bthis day\b", text) or "오늘" in tight or "금일" in tight:
        return Span(midnight, now_ns, "today", "오늘")
    if "this week" in text or "이번주" in tight:
        day = (midnight + offset_ns) // DAY_NS
        return Span(midnight - (day + 3) % 7 * DAY_NS, now_ns, "this week", "이번 주")
    length, unit = _length_of(text, tight)
    if not unit:
        return None
    unit_ns, english, korean = _UNITS[unit]
    lasting = min(length * unit_ns, MOST_NS, now_ns)
    name = english if length != 1 else english.removesuffix("s")
    return Span(now_ns - lasting, now_ns, f"in the last {length} {name}", f"최근 {length}{korean}")


def _length_of(text: str, tight: str) -> tuple[int, str]:
    if match := _EN.search(text):
        return max(1, int(match[1])), match[2][0]
    for word, digit in _NUMBERS.items():
        tight = re.sub(rf"(?<![가-힣]){word}(?=시간|주일?)|(?<=최근|지난){word}(?=시간|주)", digit, tight)
    if match := _KO.search(tight):
        return max(1, int(match[1])), _KO_UNITS[match[2]]
    for unit, english, korean in (("h", "hour", "한시간"), ("d", "day", "하루"), ("w", "week", "일주일")):
        if re.search(rf"\b(last|past|previous|an?|one) {english}\b", text) or korean in tight:
            return 1, unit
    return 0, ""
