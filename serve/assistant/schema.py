"""The public structures of `ai/chat` and `ai/confirm`."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from serve.schema import CanceledAll, OrderView, Request

MAX_HISTORY: Final = 20
MAX_CHARS: Final = 4000
MAX_TOKEN_CHARS: Final = 4096


class Language(StrEnum):
    KO = "ko"
    EN = "en"


class Speaker(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


Content = Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]
Confirmation = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_TOKEN_CHARS,
        description="Of a proposal: good once, for 60 s, for who was given it.",
        examples=["eyJhbGciOi..."],
    ),
]


class Message(Request, kw_only=True):
    role: Speaker
    content: Content


class ChatRequest(Request, kw_only=True):
    """Either `message` or `confirm`."""

    message: Annotated[str, Meta(min_length=1, max_length=MAX_CHARS, examples=["How much USDT do I have?"])] | None = (
        None
    )
    """A question or a wish, in Korean or English."""
    history: Annotated[list[Message], Meta(max_length=MAX_HISTORY)] = msgspec.field(default_factory=list)
    """What was said before, oldest first; nothing of it is kept here."""
    confirm: Confirmation | None = None
    """Do what was proposed."""
    language: Language | None = None
    """Of the answer; left out: that of the question."""
    utc_offset_minutes: Annotated[int, Meta(ge=-720, le=840)] = 0
    """Where you are: when `today` begins."""
    use_model: bool = True
    """false: the language model is not asked, if there is one."""


class ConfirmRequest(Request, kw_only=True):
    confirmation: Confirmation
    language: Language = Language.EN


class ToolError(msgspec.Struct, frozen=True):
    code: str
    detail: str
    field: str | None = None


class ToolUse(msgspec.Struct):
    """What was looked up for the answer: its figures are from here."""

    name: str
    arguments: dict[str, object]
    result: object = None
    """As the API tells it; null when there is an `error`."""
    error: ToolError | None = None


class Estimate(msgspec.Struct):
    """What a proposed order would do by the book as it stands; decimal strings."""

    price: str | None
    """The average price, of an order by its own price that one."""
    value: str | None
    """In the quote asset."""
    fee: str | None
    """At most, of what is received."""
    fee_asset: str
    uses_asset: str
    uses: str | None
    """What is locked at least."""
    free: str
    """Of that asset."""
    trades_at_once: bool
    enough_liquidity: bool
    """The book holds the whole of it now."""


class Proposal(msgspec.Struct):
    """What is done when it is confirmed, and only then."""

    kind: str
    """`place`, `cancel` or `cancel_all`"""
    side: str | None = None
    """BUY, SELL"""
    order: dict[str, object] | None = None
    """The body of `trading/buy` or `trading/sell`."""
    client_order_id: str | None = None
    """That it would be placed with: to look for, where the answer to a confirmation is lost."""
    order_id: int | None = None
    """cancel"""
    symbol: str | None = None
    estimate: Estimate | None = None
    confirmation: str = ""
    """Send it as `confirm`."""
    expires_at_ms: int = 0


class ChatReply(msgspec.Struct, kw_only=True):
    answer: str
    language: Language
    answered_by: str
    """`rules`, `model`, or `confirmation`"""
    intents: list[str] = []
    """What the rules took the question for."""
    tools: list[ToolUse] = []
    proposal: Proposal | None = None
    order: OrderView | None = None
    """Placed or canceled by a confirmation."""
    canceled: CanceledAll | None = None
    note: str | None = None
    """Why the language model did not answer."""
    suggestions: list[str] = []
    """What else can be asked."""
