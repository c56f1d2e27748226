"""One question in, one answer out: by the language model where there is one, else (or when it fails) by the rules.

Also the confirmations, which alone place or cancel anything, through the same operations as everybody's orders.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from serve.assistant.account_tools import AccountTools
from serve.assistant.api import Api
from serve.assistant.confirmation import Action, Confirmations
from serve.assistant.intent import counted
from serve.assistant.language_model import LanguageModel, ModelFailed, ModelSettings
from serve.assistant.market_tools import Forecasts, MarketTools
from serve.assistant.names import Names
from serve.assistant.proposing import CANCEL, CANCEL_ALL, PLACE, Proposing
from serve.assistant.question import language_of
from serve.assistant.rules import Rules, suggestions
from serve.assistant.schema import ChatReply, ChatRequest, Language, Proposal, Speaker
from serve.assistant.toolbox import Asker, Toolbox
from serve.auth.limits import AttemptLimit
from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import Endpoint
from serve.schema import CanceledAll, OrderPath, OrderView, SideName, SideOrder, SymbolQuery

QUESTIONS_A_MINUTE: Final = 120
"""Of one user at one gateway."""
MODEL_QUESTIONS_A_MINUTE: Final = 20
"""Of these by the language model; the others are answered by the rules."""
WINDOW_S: Final = 60.0


class Assistant:
    def __init__(
        self,
        gateway: Gateway,
        endpoints: Iterable[Endpoint],
        secret: bytes,
        forecasts: Forecasts,
        model: ModelSettings | None = None,
    ) -> None:
        self._gateway = gateway
        self._api = Api(endpoints)
        self._confirmations = Confirmations(lambda: gateway.pool, secret)
        names = Names(gateway.instruments, gateway.reference.name)
        proposing = Proposing(gateway, self._api, names, self._confirmations)
        self.toolbox = Toolbox(
            [
                *AccountTools(self._api, names, proposing).tools(),
                *MarketTools(self._api, names, forecasts).tools(),
            ]
        )
        self._rules = Rules(names, self.toolbox)
        self._model = None if model is None else LanguageModel(model, self.toolbox)
        self._questions = AttemptLimit(QUESTIONS_A_MINUTE, WINDOW_S)
        self._model_questions = AttemptLimit(MODEL_QUESTIONS_A_MINUTE, WINDOW_S)

    async def chat(self, who: Principal, asked: ChatRequest) -> ChatReply:
        """ApiError: VALIDATION, RATE_LIMITED; those of placing an order, when one is confirmed."""
        if (asked.message is None) == (asked.confirm is None):
            raise ApiError(Code.VALIDATION, "Give either a message or a confirmation (`confirm`).", "message")
        if asked.confirm is not None:
            return await self.confirm(who, asked.confirm, asked.language or Language.EN)
        assert asked.message is not None
        _count(self._questions, who)
        language = asked.language or language_of(asked.message)
        asker = Asker(who, self._gateway.now_ns(), asked.utc_offset_minutes)
        note = None
        if self._model is not None and asked.use_model:
            try:
                return await self._by_model(self._model, asker, asked, language)
            except ModelFailed as failed:
                note = _note(language, failed)
        before = [one.content for one in asked.history if one.role is Speaker.USER]
        found = await self._rules.answer(asker, asked.message, before, language)
        return ChatReply(
            answer=found.text, language=language, answered_by="rules", intents=found.intents, tools=_without_tokens(found.tools),
            proposal=found.proposal, note=note, suggestions=suggestions(language, found.intents),
        )  # fmt: skip

    async def _by_model(self, model: LanguageModel, asker: Asker, asked: ChatRequest, language: Language) -> ChatReply:
        try:
            _count(self._model_questions, asker.principal)
        except ApiError:
            most = MODEL_QUESTIONS_A_MINUTE
            raise ModelFailed(f"it is asked at most {most} times a minute", f"1분에 {most}번까지만 물음") from None
        found = await model.answer(asker, asked.message or "", asked.history, language)
        return ChatReply(
            answer=found.text, language=language, answered_by="model", tools=found.tools, proposal=found.proposal,
            suggestions=suggestions(language, ["model"]),
        )  # fmt: skip

    # -- confirmations --------------------------------------------------------------------------------------------

    async def confirm(self, who: Principal, token: str, language: Language) -> ChatReply:
        """Do what was proposed, once. FORBIDDEN for who may not trade, VALIDATION for a confirmation that is not good."""
        if not self._api.allows(CANCEL_ALL, who):
            raise ApiError(Code.FORBIDDEN, "Your role may look, not trade.")
        action = await self._confirmations.use(who.user_id, token)
        made = await self._done(who, action)
        reply = ChatReply(answer=_said(action, made, language), language=language, answered_by="confirmation")
        if isinstance(made, CanceledAll):
            reply.canceled = made
        else:
            reply.order = made
        return reply

    async def _done(self, who: Principal, action: Action) -> OrderView | CanceledAll:
        made: OrderView | CanceledAll
        if action.kind == "place":
            assert action.side is not None
            order = msgspec.convert(action.order, SideOrder)
            made = await self._api.call(PLACE[SideName(action.side)], who, body=order)
        elif action.kind == "cancel":
            assert action.order_id is not None
            made = await self._api.call(CANCEL, who, params=OrderPath(order_id=action.order_id))
        else:
            made = await self._api.call(CANCEL_ALL, who, query=SymbolQuery(symbol=action.symbol))
        return made


def _count(limit: AttemptLimit, who: Principal) -> None:
    now = time.monotonic()
    try:
        limit.check(str(who.user_id), now)
    except ApiError as error:
        raise ApiError(Code.RATE_LIMITED, retry_after_s=error.retry_after_s) from None
    limit.add(str(who.user_id), now)


def _without_tokens(tools: list[Any]) -> list[Any]:
    """A confirmation stands in one place of an answer."""
    for one in tools:
        if isinstance(one.result, Proposal):
            one.result = msgspec.structs.replace(one.result, confirmation="")
    return tools


def _note(language: Language, why: ModelFailed) -> str:
    if language is Language.KO:
        return f"언어 모델이 답하지 못해 규칙으로 답했습니다: {why.ko}."
    return f"Answered by rules, since the language model did not: {why.en}."


def _said(action: Action, made: OrderView | CanceledAll, language: Language) -> str:
    korean = language is Language.KO
    if isinstance(made, CanceledAll):
        count = len(made.canceled)
        return f"주문 {count}건을 취소했습니다." if korean else f"Canceled: {counted(count, 'order')}."
    average = f" @ {made.average_price}" if made.average_price is not None else ""
    figures = f"#{made.order_id} {made.side} {made.quantity} {made.symbol} {made.type}, {made.status}"
    if action.kind == "cancel":
        return f"주문을 취소했습니다: {figures}." if korean else f"Canceled: {figures}."
    done = f"{made.executed_quantity}{average}"
    return f"주문했습니다: {figures}, 체결 {done}." if korean else f"Placed: {figures}, executed {done}."
