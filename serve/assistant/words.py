"""What coins are called in English and Korean, and how a misspelled word is read. Pure."""

import unicodedata
from typing import Final

from rapidfuzz.distance import OSA

COINS: Final[dict[str, tuple[str, ...]]] = {
    "BTC": ("bitcoin", "bitcoins", "xbt", "비트코인", "비트"), "ETH": ("ethereum", "ether", "이더리움", "이더"),
    "BNB": ("binance coin", "바이낸스코인", "비앤비"), "SOL": ("solana", "솔라나"), "XRP": ("ripple", "리플"),
    "DOGE": ("dogecoin", "도지코인", "도지"), "ADA": ("cardano", "카르다노", "에이다"), "LTC": ("litecoin", "라이트코인", "라코"),
    "TRX": ("tron", "트론"), "AVAX": ("avalanche", "아발란체"), "LINK": ("chainlink", "체인링크"),
    "DOT": ("polkadot", "폴카닷"), "TON": ("toncoin", "톤코인"), "SHIB": ("shiba inu", "시바이누"),
    "BCH": ("bitcoin cash", "비트코인캐시", "비캐"), "NEAR": ("near protocol", "니어프로토콜"), "UNI": ("uniswap", "유니스왑"),
    "APT": ("aptos", "앱토스"), "ICP": ("internet computer", "인터넷컴퓨터"), "ETC": ("ethereum classic", "이더리움클래식", "이클"),
    "XLM": ("stellar", "스텔라루멘", "스텔라"), "ATOM": ("cosmos", "코스모스"), "FIL": ("filecoin", "파일코인"),
    "HBAR": ("hedera", "헤데라"), "VET": ("vechain", "비체인"), "ARB": ("arbitrum", "아비트럼"), "OP": ("optimism", "옵티미즘"),
    "INJ": ("injective", "인젝티브"), "SUI": ("수이",), "AAVE": ("에이브",), "ALGO": ("algorand", "알고랜드"),
    "GRT": ("the graph", "더그래프"), "SAND": ("sandbox", "샌드박스"), "MANA": ("decentraland", "디센트럴랜드"),
    "XTZ": ("tezos", "테조스"), "PEPE": ("페페",), "SEI": ("세이코인",), "TIA": ("celestia", "셀레스티아"),
}  # fmt: skip
MONEY: Final[dict[str, tuple[str, ...]]] = {
    "USDT": ("tether", "테더"), "USD": ("dollar", "dollars", "usd", "달러", "불"), "KRW": ("won", "원화"),
}  # fmt: skip

_TICKER_WORDS: Final = """\
act all any apt arb at atom can dot for fun gas get go hot how id in is it key link mana me my near no not of on one op or pol ray sand sei sun the to ton uni us win
"""
PLAIN_WORDS: Final = frozenset(_TICKER_WORDS.split())
"""Tickers that are words: only meant when written in capitals or with a $."""

_WORDS: Final = """\
about account active afford after again alice allocation allow allowed allows along among analysis analyze
assets available average balance balances being below biggest bills bitcoins bought build built buying cancel
canceled cancelled candle candles change changed changes charge chart cheap class close coins commission
commissions compare compared concentration could currently depth doing drawdown ending equity every exchange
executions expired explain exposure falling feeds filled first forecast found gainers gaining games given
great group hares having highest history holding holdings honey hours iceberg ladder large largest latency
later latest least lending level lights likes limit limited limiting limits lives losers losing lowest maker
market might minimum minute minutes money month months movers named names never night often order ordered
orders other others outstanding pending performance person persons piece pieces place placed placing plane
please point portfolio position positions praise predict prediction price prices pride prince prize profile
profit profits purchase quantity quick realised realized really rejected reserve reset resistance resting
result results right rights rising seems selling sending server servers service shape share shares should
shown since slice small spend spending spent spice spread start states stats status still stock stops support
symbol symbols taken taker there these thing think those three times today token tokens total trace trade
traded trader traders trades trading trailing tread trend trends under unfilled unrealised unrealized until
using value version volatility volume waiting weeks where which while whole winning withdraw within working
world worth would write years yesterday
"""
"""English words of five letters and more: those that questions are made of, and such as are close to them and right as they are."""
_KOREAN: Final = (
    "비트코인", "이더리움", "솔라나", "라이트코인", "도지코인", "포트폴리오", "수수료", "변동성", "수익률", "미체결", "스프레드", "집중도",
    "시장가", "지정가", "거래량", "현재가", "미실현", "평균단가", "예측해",
)  # fmt: skip
_ENGLISH_NAMES: Final = frozenset(
    part for names in COINS.values() for name in names if name.isascii() for part in name.split()
)
_KNOWN: Final = frozenset(_WORDS.split()) | _ENGLISH_NAMES | frozenset(("korean", "english"))
_BY_LENGTH: Final = {n: tuple(sorted(w for w in _KNOWN if abs(len(w) - n) <= 1 and len(w) >= 5)) for n in range(5, 20)}
LEAST_LETTERS: Final = 5
MAX_WORDS: Final = 80
"""A question longer than that is read as it is written from there on."""


def read_english(word: str) -> str:
    """The word itself, or the known one that a single slip (a letter more, less, other, or two swapped) makes of it."""
    if len(word) < LEAST_LETTERS or word in _KNOWN or not word.isalpha():
        return word
    for known in _BY_LENGTH.get(len(word), ()):
        if OSA.distance(word, known, score_cutoff=1) <= 1:
            return known
    return word


def read_korean(text: str) -> str:
    """Text without spaces in which words of three syllables and more are read where one letter (jamo) is wrong."""
    for known in _KOREAN:
        if known in text:
            continue
        letters = unicodedata.normalize("NFD", known)
        for at in range(min(len(text), MAX_WORDS * 4) - len(known) + 1):
            part = text[at : at + len(known)]
            if part[0] != known[0] and part[-1] != known[-1]:
                continue
            if OSA.distance(unicodedata.normalize("NFD", part), letters, score_cutoff=1) <= 1:
                text = text[:at] + known + text[at + len(known) :]
                break
    return text
