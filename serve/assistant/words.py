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

PLAIN_WORDS: Final = frozenset(
    "link near op sand dot ton uni atom apt sei mana one sun gas win key not id or any all go is it in on at to of for arb "
    "fun act hot pol ray me my no us the get can how".split()
)
"""Tickers that are words: only meant when written in capitals or with a $."""

_VOCABULARY: Final = frozenset(
    "balance balances price prices profit profits orders order history position positions holding holdings candle candles "
    "spread depth prediction predict forecast analysis analyze exposure volatility drawdown largest biggest concentration "
    "cancel market limit quantity portfolio equity executions trades trade commission commissions symbols symbol minimum "
    "status exchange highest lowest volume average today yesterday allocation realised realized unrealised unrealized "
    "available assets account withdraw support resistance gainers losers movers performance value worth currently "
    # Words that are right as they are.
    "place while where there these those which would could should about other first right money please still three think "
    "since start stock total under until using after again being below close every found given great group large later least "
    "level might never often place point quick shown small thing times today whole world write years latest other others "
    "change changed changes charge cheap chart really result results explain placed filled being doing having within "
    "ordered rights lights prize plane placing ladder latency profile minutes minute hours hour bought change "
    "buying selling purchase spend spent spending afford".split()
)
"""English words of five letters and more that questions are made of; what is close to one of them is read as it."""
_KOREAN: Final = (
    "비트코인", "이더리움", "솔라나", "라이트코인", "도지코인", "포트폴리오", "수수료", "변동성", "수익률", "미체결", "스프레드", "집중도",
    "시장가", "지정가", "거래량", "현재가", "미실현", "평균단가", "예측해",
)  # fmt: skip
_ENGLISH_NAMES: Final = frozenset(
    part for names in COINS.values() for name in names if name.isascii() for part in name.split()
)
_KNOWN: Final = _VOCABULARY | _ENGLISH_NAMES | frozenset(("korean", "english"))
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
