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

_QUESTION_WORDS: Final = """\
account allocation analysis analyze assets available average balance balances bitcoins bought cancel candle
candles change charge chart commission commissions concentration currently depth drawdown equity exchange
executions explain exposure fills forecast gainers highest history holding holdings iceberg largest latency
limit losers lowest maker market minimum movers order orders performance portfolio position positions predict
prediction price prices profile profit profits purchase quantity realised realized resistance spread status
support symbol symbols taker today total trade trades trailing unrealised unrealized value volatility volume
withdraw yesterday
"""
"""That a misspelled English word is read as."""
_RIGHT_WORDS: Final = """\
about active afford after again allow allowed allows along among being below biggest bills border build built
buying canceled cancelled chair chance changed changes charm chars cheap class close coins compare compared
could crates doing elder ending every expired falling feeds filled first found gaining games given grace grade
grades great group having hours large later latest least lending level lights likes limited limiting limits
lives losing might mills minute minutes money month months named names never night often older orange ordered
other others ounces outstanding pending person persons piece pieces pills place placed placing please point
points pounds pride prides prince prize quick really rejected reserve reset resting result results right rights
rising seems selling sending server servers service shape share shares should shown since slice small sounds
spend spending spent spice stakes start states stats still stock stops taken there these thing think those three
times token tokens trace tracks traded trader traders trading tread trend trends tribe under unfilled until
using valve version voter waiting weeks weight where which while whole winning within working world worth would
write years
"""
"""Right as they are, though a letter from one of those."""
_KOREAN: Final = (
    "비트코인", "이더리움", "솔라나", "라이트코인", "도지코인", "포트폴리오", "수수료", "변동성", "수익률", "미체결", "스프레드", "집중도",
    "시장가", "지정가", "거래량", "현재가", "미실현", "평균단가", "예측해",
)  # fmt: skip
_ENGLISH_NAMES: Final = frozenset(
    part for names in COINS.values() for name in names if name.isascii() for part in name.split()
)
_TARGETS: Final = frozenset(_QUESTION_WORDS.split()) | frozenset(one for one in _ENGLISH_NAMES if len(one) >= 5)
_RIGHT: Final = _TARGETS | frozenset(_RIGHT_WORDS.split())
_BY_LENGTH: Final = {n: tuple(sorted(w for w in _TARGETS if abs(len(w) - n) <= 1)) for n in range(5, 20)}
LEAST_LETTERS: Final = 5
MAX_WORDS: Final = 80
"""A question longer than that is read as it is written from there on."""


def read_english(word: str) -> str:
    """The word itself, or the known one that a single slip (a letter more, less, other, or two swapped) makes of it."""
    if len(word) < LEAST_LETTERS or word in _RIGHT or not word.isalpha():
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
