"""Symbols and assets of this exchange as people write them: BTC, btc/usdt, $btc, 비트코인. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rapidfuzz.distance import OSA

from market.instrument import Instrument
from serve.assistant.words import COINS, MONEY, PLAIN_WORDS, read_english

_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9_])(\$?)([A-Za-z][A-Za-z0-9]{1,19})(?![A-Za-z0-9])")
_PAIR: Final = re.compile(r"(?<![A-Za-z0-9])([A-Za-z0-9]{2,12}) ?[/_\-] ?([A-Za-z]{3,6})(?![A-Za-z0-9])")
_CAPITALS: Final = re.compile(r"[A-Z][A-Z0-9]{2,11}")
_CAPITAL_WORDS: Final = """\
ADMIN ALL AND API ATH ATL BALANCE BBO BUY CAN CANCELED DCA DROP EXPIRED FAQ FILLED FOK FOR FROM GTC HHI HOW HTTP HTTPS
IGNORE IOC JSON KRW KST LIMIT LOSS MAKER MARKET MAX MIN MUCH NEW NOT NOW OCO OHLC ORDER ORDERS OTO PLEASE PNL PRICE PROFIT
REST ROI SELECT SELL SHOW STOP SYSTEM TABLE TAKE THE URL USD USDT USER UTC VAR VWAP WHAT WHERE WHO WHY YOU
"""
_NO_COINS: Final = frozenset(_CAPITAL_WORDS.split())
MAX_FOUND: Final = 5


class Found(NamedTuple):
    symbols: tuple[str, ...]
    """Traded here, in the order of the text."""
    assets: tuple[str, ...]
    """The coins of these symbols, and quote assets that are named."""
    strangers: tuple[str, ...]
    """Named like symbols, and not traded here."""


class Names:
    def __init__(self, instruments: Sequence[Instrument], reference: str) -> None:
        self.reference = reference
        self.symbols = {one.symbol: one for one in instruments}
        self.quotes = {one.quote.name for one in instruments}
        self._by_base: dict[str, str] = {}
        for one in sorted(instruments, key=lambda one: one.quote.name != reference):
            self._by_base.setdefault(one.base.name, one.symbol)
        self.bases = set(self._by_base)
        known = [(name, coin) for coin, names in COINS.items() for name in names]
        self._korean = sorted(
            ((name, coin) for name, coin in known if not name.isascii()), key=lambda one: -len(one[0])
        )
        self._english = sorted(((name, coin) for name, coin in known if name.isascii()), key=lambda one: -len(one[0]))

    def base_of(self, symbol: str) -> str:
        return self.symbols[symbol].base.name

    def of_base(self, base: str) -> str | None:
        """The symbol of a coin: against the reference asset, if there is one."""
        return self._by_base.get(base)

    def symbol(self, text: str) -> str:
        """What one name means; what is not known stays as it is, in capitals, for the API to refuse."""
        found = self.find(text, squeezed(text))
        if found.symbols:
            return found.symbols[0]
        plain = re.sub(r"[^A-Z0-9._]", "", text.upper())
        return self._by_base.get(plain) or (found.strangers[0] if found.strangers else plain)[:24] or "NONE"

    def find(self, text: str, tight: str) -> Found:
        """`tight`: the text without spaces, its Korean words read."""
        hits: list[tuple[int, str]] = []
        taken = text
        for symbol in self.symbols:
            if "." in symbol and (at := text.upper().find(symbol)) >= 0:
                hits.append((at, symbol))
                taken = taken[:at] + " " * len(symbol) + taken[at + len(symbol) :]
        for match in _PAIR.finditer(taken):
            base, quote = match[1].upper(), match[2].upper()
            if quote in self.quotes or (base in self.bases and quote in MONEY):
                hits.append((match.start(), self._pair(base, quote)))
                taken = taken[: match.start()] + " " * len(match[0]) + taken[match.end() :]
        hits += self._tickers(taken)
        hits += self._english_names(taken)
        hits += self._korean_names(tight)
        ordered = list(dict.fromkeys(name for _, name in sorted(hits)))[:MAX_FOUND]
        listed = tuple(one for one in ordered if one in self.symbols)
        money = tuple(self._money(taken, re.sub(_PAIR, " ", tight)))
        assets = (*(self.base_of(one) for one in listed), *money)
        return Found(listed, tuple(dict.fromkeys(assets)), tuple(one for one in ordered if one not in self.symbols))

    def _pair(self, base: str, quote: str) -> str:
        if base + quote in self.symbols:
            return base + quote
        return self._by_base.get(base) or base + (quote if quote in self.quotes else self.reference)

    def _tickers(self, text: str) -> Iterable[tuple[int, str]]:
        shouted = text.upper() == text and len(text.split()) > 2
        for match in _TOKEN.finditer(text):
            written, upper = match[2], match[2].upper()
            meant = bool(match[1]) or (written == upper and not shouted) or written.lower() not in PLAIN_WORDS
            if upper in self.symbols:
                yield match.start(), upper
            elif upper in self._by_base and meant:
                yield match.start(), self._by_base[upper]
            elif len(upper) >= 6 and (near := self._near(upper)):
                yield match.start(), near
            elif upper in COINS and meant:
                yield match.start(), upper + self.reference
            elif not shouted and _CAPITALS.fullmatch(written) and upper not in _NO_COINS and upper not in self.quotes:
                quoted = any(upper.endswith(quote) for quote in self.quotes)
                yield match.start(), upper if quoted else upper + self.reference

    def _near(self, upper: str) -> str | None:
        """BTCUSTD, BTUSDT: one slip from exactly one symbol."""
        if not any(OSA.distance(upper[-len(quote) :], quote) <= 1 for quote in self.quotes):
            return None
        found = [one for one in self.symbols if len(one) < 12 and OSA.distance(one, upper, score_cutoff=1) <= 1]
        return found[0] if len(found) == 1 else None

    def _english_names(self, text: str) -> Iterable[tuple[int, str]]:
        read = " ".join(read_english(word) for word in re.split(r"[^a-z0-9]+", text.lower()))
        for name, coin in self._english:
            if (match := re.search(rf"\b{name}\b", read)) is not None:
                read = read[: match.start()] + " " * len(name) + read[match.end() :]
                yield match.start(), self._by_base.get(coin) or coin + self.reference

    def _korean_names(self, tight: str) -> Iterable[tuple[int, str]]:
        for name, coin in self._korean:
            if (at := tight.find(name)) >= 0:
                tight = tight.replace(name, " " * len(name))
                yield at, self._by_base.get(coin) or coin + self.reference

    def _money(self, text: str, tight: str) -> Iterable[str]:
        lower = text.lower()
        for name in self.quotes | {self.reference}:
            spelled = (name.lower(), *MONEY.get(name, ()))
            dollars = name.startswith("USD") and name == self.reference
            if (
                any(re.search(rf"(?<![a-z]){word}(?![a-z])", lower) for word in spelled if word.isascii())
                or any(word in tight for word in spelled if not word.isascii())
                or (
                    dollars
                    and (re.search(r"\$ ?\d", text) or "달러" in tight or re.search(r"\b(dollars?|usd|cash)\b", lower))
                )
            ):
                yield name


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text.lower())
