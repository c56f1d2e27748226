"""Answers without a language model: the question's intent by its words, the intent's tools, an answer from their figures."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from serve.assistant import account_intents, market_intents, trading_intents
from serve.assistant.errors_ko import in_korean
from serve.assistant.intent import Ask, Intent
from serve.assistant.names import Names
from serve.assistant.question import MAX_READ, Question, read
from serve.assistant.schema import Language, Proposal, ToolError, ToolUse
from serve.assistant.toolbox import Asker, Toolbox
from serve.assistant.wish_answers import ONE_AT_A_TIME

MAX_CLAUSES: Final = 3
_CLAUSES: Final = re.compile(
    r"[?!;\n]+|\.(?=\s|$)|\band also\b|\band then\b|\band (?=what|how|which|show|is|my)|그리고|(?<=[려여해]주고) "
)
UNKNOWN: Final = "unknown"
WISH: Final = "propose"
"""What the names of intents begin with that a proposal answers."""

SUGGESTIONS: Final = {
    Language.EN: (
        "How much USDT do I have?", "What is my equity?", "Show my open orders", "What fees have I paid today?", "Price of BTC?",
        "How risky is my portfolio?", "How do I place a stop loss order?", "Buy 0.01 BTC at market",
    ),
    Language.KO: (
        "USDT 잔고 알려줘", "총자산 얼마야?", "미체결 주문 보여줘", "오늘 낸 수수료 얼마야?", "비트코인 시세 알려줘", "내 포트폴리오 위험은?",
        "손절 주문은 어떻게 해?", "비트코인 0.01개 시장가로 사줘",
    ),
}  # fmt: skip
_AFTER: Final = {
    "balance": (1, 2), "equity": (3, 5), "open_orders": (3, 0), "price": (7, 5), "unknown": (0, 1, 2, 3, 4, 5, 6, 7),
    "help": (0, 1, 2, 3, 4, 5, 6, 7), "hello": (0, 2, 4, 6),
}  # fmt: skip


class Answer(NamedTuple):
    text: str
    intents: list[str]
    tools: list[ToolUse]
    proposal: Proposal | None


class Rules:
    def __init__(self, names: Names, toolbox: Toolbox) -> None:
        self._names = names
        self._toolbox = toolbox
        self.intents: tuple[Intent, ...] = (
            account_intents.WHOSE,
            *trading_intents.before(names),
            *account_intents.INTENTS,
            *trading_intents.INTENTS,
            *account_intents.HOLDINGS,
            *market_intents.INTENTS,
        )
        """The first that matches is meant: what is said more exactly stands before what is said more loosely."""

    def intent_of(self, q: Question) -> Intent | None:
        return next((one for one in self.intents if one.matches(q)), None)

    def read(self, asker: Asker, text: str, language: Language | None = None) -> Question:
        return read(text, self._names, asker.now_ns, asker.utc_offset_minutes, language)

    def understand(
        self, asker: Asker, text: str, before: Sequence[str] = (), language: Language | None = None
    ) -> list[tuple[Question, Intent]]:
        """One for each clause where every clause is understood, else one for the whole; none: it is not understood."""
        whole = self.read(asker, text, language)
        language = language or whole.language
        if account_intents.WHOSE.matches(whole):
            return [(whole, account_intents.WHOSE)]
        clauses = [one.strip() for one in _CLAUSES.split(text[:MAX_READ]) if one.strip()]
        if 1 < len(clauses) <= MAX_CLAUSES:
            parts = [self.read(asker, one, language) for one in clauses]
            found = [(q, intent) for q in parts if (intent := self.intent_of(q)) is not None]
            if len(found) == len(parts):
                return found
        intent = self.intent_of(whole)
        if intent is None:
            intent = self._carried_on(asker, whole, before)
        return [] if intent is None else [(whole, intent)]

    def _carried_on(self, asker: Asker, q: Question, before: Sequence[str]) -> Intent | None:
        """`and ETH?`: the question before, of another symbol or time. Never a wish: that is said in full."""
        if q.symbol is None and q.span is None:
            return None
        for text in reversed(before):
            intent = self.intent_of(self.read(asker, text))
            if intent is not None and not intent.name.startswith(WISH):
                return intent
        return self._named("price") if q.found.symbols and len(q.raw) <= 24 else None

    def _named(self, name: str) -> Intent:
        return next(one for one in self.intents if one.name == name)

    async def answer(
        self, asker: Asker, text: str, before: Sequence[str] = (), language: Language | None = None
    ) -> Answer:
        understood = self.understand(asker, text, before, language)
        if not understood:
            return Answer(_not_understood(self.read(asker, text, language)), [UNKNOWN], [], None)
        if sum(intent.name.startswith(WISH) for _, intent in understood) > 1:
            q = understood[0][0]
            return Answer(q.say(*ONE_AT_A_TIME), [intent.name for _, intent in understood], [], None)
        texts: list[str] = []
        uses: list[ToolUse] = []
        proposal: Proposal | None = None
        seen: set[str] = set()
        for q, intent in understood:
            said, used, results = await self._one(asker, q, intent)
            if said not in seen:
                texts.append(said)
                seen.add(said)
            uses += used
            proposal = next((one for one in results if isinstance(one, Proposal)), proposal)
        return Answer("\n".join(texts), [intent.name for _, intent in understood], uses, proposal)

    async def _one(self, asker: Asker, q: Question, intent: Intent) -> tuple[str, list[ToolUse], list[Any]]:
        try:
            calls = intent.calls(q)
        except Ask as ask:
            return q.say(ask.en, ask.ko), [], []
        uses: list[ToolUse] = []
        results: list[Any] = []
        for name, arguments in calls:
            use, result = await self._toolbox.use(asker, name, arguments)
            uses.append(use)
            if use.error is not None:
                return _failure(q, use.error), uses, []
            results.append(result)
        return intent.say(q, results), uses, results


def _failure(q: Question, error: ToolError) -> str:
    return q.say(error.detail, in_korean(error))


def _not_understood(q: Question) -> str:
    return q.say(
        "I did not understand that. I answer questions about your own account and the market; below are some you can ask.",
        "이해하지 못했습니다. 본인 계정과 시장에 대한 질문에 답할 수 있습니다. 아래와 같이 물어보실 수 있습니다.",
    )


def suggestions(language: Language, intents: Sequence[str]) -> list[str]:
    chosen = _AFTER.get(intents[-1] if intents else UNKNOWN, (0, 4, 6))
    return [SUGGESTIONS[language][k] for k in chosen]
