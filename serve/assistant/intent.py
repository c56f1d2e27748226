"""What an intent is: how a question is known by its words, which tools answer it, and how the answer is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from serve.assistant.question import Question
from serve.schema import Request

Call = tuple[str, Request | dict[str, Any]]
"""A tool's name and its arguments; they are checked when it is used."""


class Ask(Exception):
    """The question lacks something; its text asks for it."""

    def __init__(self, en: str, ko: str) -> None:
        super().__init__(en)
        self.en, self.ko = en, ko


@dataclass(frozen=True, slots=True)
class Intent:
    name: str
    matches: Callable[[Question], Any]
    calls: Callable[[Question], Sequence[Call]]
    say: Callable[[Question, Sequence[Any]], str]
    """From the results of the calls, in their order; only called when none of them failed."""


def words(en: str, ko: str) -> Callable[[Question], Any]:
    return lambda q: q.has(en, ko)


def no_calls(_: Question) -> Sequence[Call]:
    return ()


def needed_symbol(q: Question) -> str:
    if q.symbol is None:
        raise Ask("Which symbol do you mean? For example: BTC.", "어떤 종목인가요? 예: 비트코인")
    return q.symbol


def listed(parts: Sequence[str], q: Question, none_en: str, none_ko: str) -> str:
    return "; ".join(parts) if parts else q.say(none_en, none_ko)


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def figure(value: Any) -> str:
    """A float as the API's JSON has it."""
    return msgspec.json.encode(value).decode()
