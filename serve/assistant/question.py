"""A question made ready to be understood: its words read, the symbols and times in it found. Pure."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

from serve.assistant.names import Found, Names, squeezed
from serve.assistant.schema import Language
from serve.assistant.times import Span, interval_of, span_of
from serve.assistant.words import MAX_WORDS, read_english, read_korean

MAX_READ: Final = 400
"""Letters of a question that the rules read: a longer one is a story, and patterns over it would take their time."""
_HANGUL: Final = re.compile(r"[가-힣ㄱ-ㅎㅏ-ㅣ]")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ENGLISH_WORD: Final = re.compile(r"[a-z]+")


@dataclass(slots=True)
class Question:
    raw: str
    """As it was written, spaces and width of letters aside."""
    text: str
    """Lower case, English words read."""
    tight: str
    """Without spaces, Korean words read."""
    language: Language
    found: Found
    span: Span | None
    interval: str | None
    now_ns: int
    numbers: list[str] = field(default_factory=list)

    def say(self, en: str, ko: str) -> str:
        return ko if self.language is Language.KO else en

    @property
    def symbol(self) -> str | None:
        """The first that is named, traded here or not."""
        named = (*self.found.symbols, *self.found.strangers)
        return named[0] if named else None

    @property
    def own(self) -> bool:
        return bool(
            re.search(r"\b(my|mine|i|me|our)\b", self.text)
            or re.search(r"^내|내[가-힣]|나의|제가|저의|나는|내가", self.tight)
        )

    def has(self, en: str, ko: str = "(?!)") -> Any:
        return re.search(en, self.text) or re.search(ko, self.tight)


def language_of(text: str) -> Language:
    return Language.KO if _HANGUL.search(text) else Language.EN


def read(text: str, names: Names, now_ns: int, offset_minutes: int = 0, language: Language | None = None) -> Question:
    raw = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text[:MAX_READ])).strip()[:MAX_READ]
    raw = _THOUSANDS.sub("", raw.replace("’", "'"))
    tight = read_korean(squeezed(raw))
    found = names.find(raw, tight)
    lower = raw.lower()
    if len(lower.split()) <= MAX_WORDS:
        lower = _ENGLISH_WORD.sub(lambda match: read_english(match[0]), lower)
    interval, lower_rest, tight_rest = interval_of(lower, tight)
    span = span_of(lower_rest, tight_rest, now_ns, offset_minutes)
    return Question(
        raw, lower_rest, tight_rest, language or language_of(text), found, span, interval, now_ns,
        re.findall(r"\d+(?:\.\d+)?", raw),
    )  # fmt: skip
