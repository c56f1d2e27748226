"""`/api/ai/chat`, `/api/ai/confirm`: the assistant, and the confirmation of what it proposed."""

from serve.api.trading import CHANGE_ERRORS, PLACE_ERRORS
from serve.assistant.chat import Assistant
from serve.assistant.schema import ChatReply, ChatRequest, ConfirmRequest
from serve.auth.principal import SIGNED_IN, TRADERS
from serve.errors import Code
from serve.http import Context, Endpoint

_CONFIRMED = tuple(dict.fromkeys((*PLACE_ERRORS, *CHANGE_ERRORS)))


def endpoints(assistant: Assistant) -> list[Endpoint]:
    async def chat(ctx: Context) -> ChatReply:
        return await assistant.chat(ctx.user, ctx.body)

    async def confirm(ctx: Context) -> ChatReply:
        body: ConfirmRequest = ctx.body
        return await assistant.confirm(ctx.user, body.confirmation, body.language)

    tags = ("assistant",)
    return [
        Endpoint("POST", "ai/chat", chat, request=ChatRequest, response=ChatReply, roles=SIGNED_IN, tags=tags,
                 summary="Ask the assistant, in Korean or English",
                 description="About your own account and the market; `tools` holds the figures of the answer as the API tells them. "
                 "Errors of what was looked up stand there too, and in the answer. A wish to trade is answered with a `proposal`: "
                 "nothing is placed or canceled until its `confirmation` is sent as `confirm`, within 60 s. The errors of orders "
                 "are answers to a `confirm` only.",
                 example=ChatRequest(message="How much USDT do I have?"),
                 errors=(Code.RATE_LIMITED, *_CONFIRMED)),
        Endpoint("POST", "ai/confirm", confirm, request=ConfirmRequest, response=ChatReply, roles=TRADERS, tags=tags,
                 summary="Do what the assistant proposed", description="Once, and within 60 s of the proposal.",
                 errors=_CONFIRMED),
    ]  # fmt: skip
