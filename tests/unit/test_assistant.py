"""How questions are understood, without an exchange: intents, names, times, orders in words, figures that are grounded."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.intervals import DAY_NS, HOUR_NS
from market.universe import instruments
from serve.assistant import language_model
from serve.assistant.account_tools import AccountTools
from serve.assistant.grounding import figures_of, ungrounded
from serve.assistant.language_model import LanguageModel, ModelFailed, ModelSettings
from serve.assistant.market_tools import MarketTools
from serve.assistant.names import Names, squeezed
from serve.assistant.order_words import arguments_of, order_words, side_of
from serve.assistant.question import read
from serve.assistant.rules import Rules
from serve.assistant.schema import Language
from serve.assistant.toolbox import Asker, Toolbox
from serve.assistant.words import read_english, read_korean
from serve.auth.principal import Principal, Role
from tests.system.assistant_questions import QUESTIONS

NAMES = Names(instruments(8), "USDT")
TOOLS: Any = [
    *AccountTools(None, NAMES, None).tools(),  # type: ignore[arg-type]
    *MarketTools(None, NAMES, None).tools(),  # type: ignore[arg-type]
]
RULES = Rules(NAMES, Toolbox(TOOLS))
NOON_NS = 20_000 * DAY_NS + 12 * HOUR_NS
ASKER = Asker(Principal(1, "alice", Role.USER, 1), NOON_NS)


def intents(text: str, *before: str) -> list[str]:
    return [intent.name for _, intent in RULES.understand(ASKER, text, before)]


ASKED = [(question, row.intent) for row in QUESTIONS for question in (*row.en, *row.ko) if row.intent != "unknown"]


@pytest.mark.parametrize(("question", "intent"), ASKED)
def test_the_questions_are_understood(question: str, intent: str) -> None:
    assert intents(question) == [intent]


@pytest.mark.parametrize(
    ("question", "intent"),
    [
        ("How much did I make today?", "equity_change"), ("어제 얼마 벌었어?", "equity_change"), ("am I up or down this week?", "equity_change"),
        ("What is the status of order 12?", "order"), ("주문 12 상태 알려줘", "order"), ("Why was order 12 filled?", "explain_order"),
        ("12번 주문 왜 체결됐어?", "explain_order"), ("How volatile is my portfolio?", "own_volatility"), ("비트코인 변동성", "volatility"),
        ("What's my max drawdown?", "drawdown"), ("최대 낙폭은?", "drawdown"), ("How risky is my portfolio?", "risk"), ("내 포트폴리오 위험은?", "risk"),
        ("Did ETH go up today?", "price_range"), ("어제 비트코인 고가는?", "price_range"), ("Predict BTC for the next hour", "prediction"),
        ("이더리움 오를까?", "prediction"), ("Should I buy BTC?", "analysis"), ("비트코인 사도 될까?", "analysis"), ("비트코인 분석해줘", "analysis"),
        ("is my trading paused?", "paused"), ("How do I cancel an order?", "how_to"), ("손절 주문 어떻게 걸어?", "how_to"),
        ("cancel order 12", "propose_cancel"), ("주문 전부 취소해줘", "propose_cancel"), ("hello", "hello"), ("안녕하세요", "hello"), ("고마워요", "thanks"),
        ("Show user 3's balance", "somebody_else"), ("what is bob's balance", "somebody_else"), ("사용자 3의 잔고", "somebody_else"),
        ("show all users' balances", "somebody_else"), ("친구의 잔고 알려줘", "somebody_else"), ("what's my balance", "balance"),
        ("orders", "order_history"), ("btc", "price"), ("잔고", "balance"), ("비트코잉 가격", "price"), ("what did i trade today", "trade_summary"),
    ],
)  # fmt: skip
def test_more_ways_to_ask(question: str, intent: str) -> None:
    assert intents(question) == [intent]


@pytest.mark.parametrize("question", ["tell me a joke", "오늘 점심 뭐 먹지", "?", "...", "asdf qwer", "ㅋㅋㅋ"])
def test_what_is_not_understood(question: str) -> None:
    assert intents(question) == []


def test_a_follow_up_carries_on_a_question_and_never_a_wish() -> None:
    assert intents("and ETH?", "What's the spread of BTC?") == ["spread"]
    assert intents("이더리움은?", "비트코인 거래량은?") == ["volume"]
    assert intents("and 0.1 ETH?", "buy 0.01 BTC at market") == ["price"]


def test_two_questions_at_once() -> None:
    assert intents("What's my balance? And what is the price of BTC?") == ["balance", "price"]
    assert intents("비트코인 시세 알려주고 내 잔고도 알려줘") == ["price", "balance"]


@pytest.mark.parametrize(
    ("text", "symbols", "strangers"),
    [
        ("BTC", ["BTCUSDT"], []), ("btcusdt", ["BTCUSDT"], []), ("btc/usdt", ["BTCUSDT"], []), ("BTC-USDT", ["BTCUSDT"], []),
        ("btc_usdt?", ["BTCUSDT"], []), ("$btc", ["BTCUSDT"], []), ("Bitcoin", ["BTCUSDT"], []), ("비트코인을", ["BTCUSDT"], []), ("비트 코인", ["BTCUSDT"], []),
        ("BTC를 이더리움으로", ["BTCUSDT", "ETHUSDT"], []), ("bitcion", ["BTCUSDT"], []), ("BTCUSTD", ["BTCUSDT"], []), ("비트코잉", ["BTCUSDT"], []),
        ("비트코인캐시", [], ["BCHUSDT"]), ("PEPE", [], ["PEPEUSDT"]), ("XYZUSDT", [], ["XYZUSDT"]), ("how is it going on", [], []), ("ＢＴＣ", ["BTCUSDT"], []),
    ],
)  # fmt: skip
def test_symbols_in_several_spellings(text: str, symbols: list[str], strangers: list[str]) -> None:
    found = read(text, NAMES, NOON_NS).found
    assert (list(found.symbols), list(found.strangers)) == (symbols, strangers)


def test_a_coin_against_several_assets_is_meant_against_the_reference() -> None:
    listed = instruments(2)
    other = msgspec.structs.replace(
        listed[0], symbol="BTCKRW", quote=msgspec.structs.replace(listed[0].quote, name="KRW")
    )
    names = Names([other, *listed], "USDT")
    assert names.find("btc", "btc").symbols == ("BTCUSDT",)
    assert names.find("btc/krw", "btc/krw").symbols == ("BTCKRW",)


@pytest.mark.parametrize(
    ("text", "hours", "until"),
    [
        ("today", 12, 0), ("오늘", 12, 0), ("yesterday", 36, 12), ("어제", 36, 12), ("last 3 hours", 3, 0), ("지난 3시간", 3, 0), ("최근 두 시간", 2, 0), ("24h", 24, 0),
        ("past week", 168, 0), ("일주일", 168, 0), ("30 minutes", 0.5, 0),
    ],
)  # fmt: skip
def test_spans_of_time(text: str, hours: float, until: float) -> None:
    span = read(text, NAMES, NOON_NS).span
    assert span is not None
    assert (span.from_ns, round((NOON_NS - span.to_ns) / HOUR_NS, 6)) == (NOON_NS - hours * HOUR_NS, until)


def test_today_begins_where_the_asker_is() -> None:
    span = read("오늘", NAMES, NOON_NS, 9 * 60).span
    assert span is not None
    assert span.from_ns == NOON_NS - 21 * HOUR_NS


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("buy 0.01 BTC at market", {"quantity": "0.01"}), ("비트코인 0.01개 시장가로 사줘", {"quantity": "0.01"}), ("buy $100 of bitcoin", {"quote_quantity": "100"}),
        ("비트코인 1,000달러어치 사줘", {"quote_quantity": "1000"}), ("buy btc for 500 usdt", {"quote_quantity": "500"}),
        ("buy 0.5 btc at 93,400.5", {"type": "LIMIT", "quantity": "0.5", "price": "93400.5"}),
        ("비트코인 0.5개 9만달러에 매수", {"type": "LIMIT", "quantity": "0.5", "price": "90000"}),
        ("buy 0.01 btc limit 90k ioc", {"type": "LIMIT", "quantity": "0.01", "price": "90000", "time_in_force": "IOC"}),
        ("post only buy 0.2 btc @ 150", {"type": "LIMIT_MAKER", "quantity": "0.2", "price": "150"}),
        ("buy 0.01 BTC stop 99000 limit 99010", {"type": "STOP_LOSS_LIMIT", "quantity": "0.01", "stop_price": "99000", "price": "99010"}),
        ("비트코인 0.01개 99000 되면 손절 매수", {"type": "STOP_LOSS", "quantity": "0.01", "stop_price": "99000"}),
        ("take profit: buy 1 btc at 250", {"type": "TAKE_PROFIT", "quantity": "1", "stop_price": "250"}),
        ("trailing stop buy 0.1 btc 1.5%", {"type": "STOP_LOSS", "quantity": "0.1", "trailing_bips": 150}),
        ("buy 1 btc at 90000 showing 0.1", {"type": "LIMIT", "quantity": "1", "price": "90000", "display_quantity": "0.1"}),
        ("buy btc with half of my money", {"share": 0.5}), ("비트코인 25% 사줘", {"share": 0.25}),
        ("I'd like to buy 2 btc please", {"quantity": "2"}), ("Could you buy 2 BTC for me?", {"quantity": "2"}),
    ],
)  # fmt: skip
def test_orders_in_words(text: str, order: dict[str, Any]) -> None:
    q = read(text, NAMES, NOON_NS)
    side = side_of(q)
    assert side == "BUY"
    assert (
        arguments_of(q, order_words(q, side, NAMES)) == {"side": "BUY", "symbol": "BTCUSDT", "type": "MARKET"} | order
    )


@pytest.mark.parametrize(
    "text",
    ["should I buy 1 BTC?", "how much BTC can I buy?", "what did I buy today", "비트코인 1개 살까?", "비트코인 사도 돼?", "when did I sell ETH?", "매수한 종목", "sell or buy?"],
)  # fmt: skip
def test_questions_about_trading_are_no_wishes(text: str) -> None:
    assert side_of(read(text, NAMES, NOON_NS)) is None


def test_no_tool_has_an_account_among_its_arguments() -> None:
    """HT-C03."""
    for tool in TOOLS:
        schema = tool.schema
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert "$ref" not in msgspec.json.encode(schema).decode()
        assert not [name for name in schema["properties"] if "account" in name or "user" in name or name == "id"], (
            tool.name
        )
    assert not [tool.name for tool in TOOLS if tool.name.startswith(("buy", "sell", "place", "cancel", "confirm"))]


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("You have 96,379.42508 USDT", []), ("about 96379.43 USDT", []), ("about 96379.4", []), ("3.5 % of it", []), ("3 orders", []), ("96380.43", ["96380.43"]),
        ("you made 1234 USDT", ["1234"]), ("#2364", []), ("5 BTC", ["5"]), ("$7", ["7"]), ("7 million", ["7"]), ("the last 7 days", []), ("-1.8985956", []),
    ],
)  # fmt: skip
def test_figures_come_from_tools(text: str, bad: list[str]) -> None:
    told = {
        "balances": [{"free": "96379.42508000", "share": 0.035}],
        "orders": [{"order_id": 2364, "profit": "-1.89859560"}],
    }
    assert ungrounded(text, figures_of(told)) == bad


def test_misspelled_words() -> None:
    for wrong, right in (
        ("blance", "balance"),
        ("pirce", "price"),
        ("etherium", "ethereum"),
        ("postions", "positions"),
        ("fills", "fills"),
        ("place", "place"),
    ):
        assert read_english(wrong) == right
    assert read_korean("비트코잉수수로") == "비트코인수수료"


TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from([word for question, _ in ASKED for word in question.split()] + ["buy", "sell", "0.01", "-1", "1e999", "$", "%", "사줘", "팔아", "999999999999999999999", "trailing", "0"]),
    max_size=12,
).map(" ".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_anything_can_be_asked(text: str) -> None:
    for q, intent in RULES.understand(ASKER, text):
        assert q.language in Language
        try:
            calls = intent.calls(q)
        except Exception as error:
            assert type(error).__name__ == "Ask", (text, error)  # noqa: PT017
            continue
        for name, arguments in calls:
            if not isinstance(arguments, dict):  # an order in words may be a wrong one, and is then refused
                msgspec.convert(msgspec.to_builtins(arguments), RULES._toolbox.tools[name].arguments)


def test_amounts_are_exact() -> None:
    q = read("buy 0.00000001 btc", NAMES, NOON_NS)
    assert Decimal(order_words(q, "BUY", NAMES).quantity or 0) == Decimal("0.00000001")
    assert squeezed(" a B ") == "ab"


async def test_a_model_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """HT-C06."""
    asked, gone = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(language_model, "ANSWER_S", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = LanguageModel(ModelSettings(url, "tiny"), Toolbox(TOOLS))
        with pytest.raises(ModelFailed, match="did not answer within"):
            await model.answer(ASKER, "hello", [], Language.EN)
        assert asked.is_set()
        await model.close()
        await gone.wait()
