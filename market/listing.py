"""What is traded when the market is a venue or a recording: its symbols as `Instrument`s, in an order for life. Pure.

    VenueSymbol of a venue, Header of a recording  ->  Offer  ->  Listing (one `Listed` per symbol id)

A symbol id is a position in `Listing.listed`. Symbols are only appended; names, steps and scales stay as they were when
the symbol was listed, since journals depend on them. What a venue no longer offers keeps its place and is not open.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import gcd
from typing import Final, Literal

import msgspec

from market import universe
from market.decimals import PLACES
from market.instrument import INT_LIMIT, Asset, Instrument, places
from market.venues.adapter import VenueSymbol
from market.venues.events import Steps

VERSION: Final = 1
NAME_LETTERS: Final = 20
"""Longest name of a symbol in Binance's API."""
MAX_LISTED: Final = 5000
"""Binance lists 3,400, half of them halted for ever."""

FINEST: Final = Decimal("0.00000001")
"""Tick and lot where nobody tells them: every price and size that a venue writes is on it."""

INITIAL_AMOUNT: Final[Mapping[str, int]] = {
    "KRW": 100_000_000, "JPY": 10_000_000, "IDR": 1_000_000_000, "TRY": 1_000_000, "BRL": 1_000_000, "MXN": 1_000_000,
    "ARS": 100_000_000, "COP": 100_000_000, "UAH": 1_000_000, "ZAR": 1_000_000, "PLN": 100_000, "RON": 100_000, "CZK": 1_000_000,
    "BTC": 1, "ETH": 100, "BNB": 100, "SOL": 1000, "TRX": 1_000_000, "DOGE": 1_000_000, "XRP": 100_000,
}  # fmt: skip
"""Virtual money of a new account in whole units: about 100,000 dollars in coins and currencies; else `DEFAULT_AMOUNT`."""
DEFAULT_AMOUNT: Final = 100_000
ROOM: Final = 13
"""A new account has at most 10^13 units: 460,000 of them stay together below 2^62."""
MAX_SCALE: Final = 12
COIN_SCALE: Final = 8

KNOWN_QUOTES: Final = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "RLUSD", "PYUSD", "DAI", "USDE", "USDS", "USDQ", "USDR", "USDD",
    "USD", "EURI", "EURC", "EUR", "GBP", "AUD", "CAD", "CHF", "KRW", "JPY", "TRY", "BRL", "IDRT", "IDR", "MXN", "ARS", "COP",
    "UAH", "ZAR", "PLN", "RON", "CZK", "NGN", "RUB", "SGD", "AED", "BTC", "ETH", "BNB", "SOL", "TRX", "XRP", "DOGE", "OKB", "GT",
)  # fmt: skip
"""For recordings that tell no pair: the longest that a name ends with."""
STOCK_QUOTE: Final = "USD"
"""Of a name without one: LOBSTER's are shares of the Nasdaq."""

MIN_NOTIONAL_SHARE: Final = 20_000
"""Of the initial amount, where the venue names no minimum: 5 USDT."""
LARGEST_NOTIONAL_PARTS: Final = 4096
"""NOTIONAL's maximum is about this part of all that 62 bits hold: 9,000,000 USDT at a scale of 8."""
GUESSED_TICKS: Final = 100_000
"""A price that nobody knows yet, for the largest quantity only."""
MAX_PRICE_TICKS: Final = 10**12
"""Where no price is known: room above every price that a venue's tick is made for."""
MAX_QTY_LOTS: Final = 10**15

Kind = Literal["venues", "replay"]

_NAME: Final = re.compile(rf"[A-Z0-9][A-Z0-9_.\-]{{0,{NAME_LETTERS - 1}}}", re.ASCII)


class BadListing(ValueError):
    """Names the symbol, and what to do."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol at a venue as it is told, before it has a place here."""

    venue: str
    symbol: str
    """The name its events carry: base + quote."""
    base: str
    quote: str
    steps: Steps
    min_notional: Decimal | None = None
    price: Decimal | None = None
    """At about which it trades now."""
    is_open: bool = True


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    instrument: Instrument
    venue: str
    venue_symbol: str
    """The name its events carry."""
    steps: Steps
    """The grid to decode the venue's numbers to: the instrument's, with the venue's code."""
    is_open: bool = True
    """The feed of the newest start offers it; else it stands halted."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    reference: str
    """Equity and profit are told in this asset, and a new account holds it."""
    listed: tuple[Listed, ...]
    version: int = VERSION

    def instruments(self) -> list[Instrument]:
        return [one.instrument for one in self.listed]

    def venues(self) -> tuple[str, ...]:
        """In order of their first symbols."""
        return tuple(dict.fromkeys(one.venue for one in self.listed))

    def ids(self, venue: str) -> dict[str, int]:
        """Our symbol ids by the venue's names; open symbols only."""
        return {one.venue_symbol: k for k, one in enumerate(self.listed) if one.venue == venue and one.is_open}

    def steps(self, venue: str) -> dict[str, Steps]:
        """What the venue's adapter is made for; open symbols only."""
        return {one.venue_symbol: one.steps for one in self.listed if one.venue == venue and one.is_open}


def initial_amount(asset: str) -> int:
    """Virtual money of a new account, in whole units of the reference asset."""
    return INITIAL_AMOUNT.get(asset, DEFAULT_AMOUNT)


# -- offers -----------------------------------------------------------------------------------------------------------


def offered(venue: str, symbol: VenueSymbol, steps: Steps, price: Decimal | None = None) -> Offer:
    """Of a venue's list; `steps` is the grid to use."""
    return Offer(
        venue=venue,
        symbol=symbol.symbol,
        base=symbol.base,
        quote=symbol.quote,
        steps=steps,
        min_notional=symbol.min_notional,
        price=price,
        is_open=symbol.trading,
    )


def recorded(venue: str, symbol: str, steps: Steps, price: Decimal | None = None) -> Offer:
    """Of a recording's header."""
    base, quote = (steps.base, steps.quote) if steps.base and steps.quote else pair_of(symbol)
    return Offer(venue=venue, symbol=symbol, base=base, quote=quote, steps=steps, price=price)


def pair_of(symbol: str) -> tuple[str, str]:
    """Base and quote of a name: the longest known quote asset it ends with; else a share against dollars."""
    fits = [one for one in KNOWN_QUOTES if symbol.endswith(one) and len(symbol) > len(one)]
    if not fits:
        return symbol, STOCK_QUOTE
    quote = max(fits, key=len)
    return symbol.removesuffix(quote), quote


def fitted(steps: Steps, prices: Iterable[int], qtys: Iterable[int]) -> Steps:
    """The coarsest decimal grid that all samples (in `steps`, zeros count for nothing) are on."""
    tick, lot = (step * _power_of_ten(gcd(*samples)) for step, samples in ((steps.tick, prices), (steps.lot, qtys)))
    return msgspec.structs.replace(steps, tick=tick, lot=lot)


def seen(steps: Steps, prices: Sequence[int], qtys: Sequence[int]) -> tuple[Steps, Decimal | None]:
    """Steps where they are `FINEST`, and about the price, as prices and quantities of a book or of trades show them.

    The tick leaves a place more than was seen: venues without steps have finer ones at lower prices.
    """
    if not prices:
        return steps, None
    fit = fitted(steps, prices, qtys)
    tick = max(FINEST, fit.tick / 10) if steps.tick == FINEST else steps.tick
    lot = fit.lot if steps.lot == FINEST else steps.lot
    return msgspec.structs.replace(steps, tick=tick, lot=lot), sorted(prices)[len(prices) // 2] * steps.tick


def _power_of_ten(number: int) -> int:
    """The largest that divides it; 1 for 0."""
    power = 1
    while number and number % (power * 10) == 0:
        power *= 10
    return power


# -- listing ----------------------------------------------------------------------------------------------------------


def listing(kind: Kind, offers: Sequence[Offer], before: Listing | None = None) -> Listing:
    """All that was listed before, in its place, and after it what is new and open; raises `BadListing`.

    What Binance's API could not tell is left out: long names, the few coins in other scripts, ticks below 10^-8.
    """
    if before is not None and before.kind != kind:
        raise BadListing(f"the market here is of {before.kind}, not of {kind}")
    wanted: dict[tuple[str, str], Offer] = {}
    for one in offers:
        wanted.setdefault((one.venue, one.symbol), one)
    kept = before.listed if before is not None else ()
    known = {(one.venue, one.venue_symbol) for one in kept}
    fresh = [one for key, one in wanted.items() if key not in known and one.is_open]
    first = kept[0].venue if kept else fresh[0].venue if fresh else ""
    new = [one for one in fresh if _NAME.fullmatch(_name(one, first)) and places(one.steps.tick) <= PLACES]
    if not kept and not new:
        raise BadListing("nothing trades there")
    if len(kept) + len(new) > MAX_LISTED:
        raise BadListing(
            f"{len(kept) + len(new)} symbols are more than {MAX_LISTED}; name quote= or symbols= in --feed"
        )
    scales = _Scales([one.instrument for one in kept], new)
    listed = [
        *(_reopened(one, wanted.get((one.venue, one.venue_symbol))) for one in kept),
        *(_listed(one, scales, first) for one in new),
    ]
    _check_names(listed)
    reference = before.reference if before is not None else _commonest_quote(new)
    return Listing(kind=kind, reference=reference, listed=tuple(listed))


def _reopened(one: Listed, offer: Offer | None) -> Listed:
    return msgspec.structs.replace(one, is_open=offer is not None and offer.is_open)


def _commonest_quote(offers: Sequence[Offer]) -> str:
    """The first of several."""
    return Counter(one.quote for one in offers).most_common(1)[0][0]


def _check_names(listed: Sequence[Listed]) -> None:
    for name, count in Counter(one.instrument.symbol for one in listed).items():
        if count > 1:
            raise BadListing(f"{name} would be two symbols. Leave one out: name symbols= in --feed")


def _name(one: Offer, first: str) -> str:
    return one.symbol if one.venue == first else f"{one.symbol}.{one.venue.upper()}"


class _Scales:
    """One scale per asset: what it had before, else the largest that one of the new symbols needs."""

    def __init__(self, before: Sequence[Instrument], new: Sequence[Offer]) -> None:
        self.kept = {asset.name: asset.scale for one in before for asset in (one.quote, one.base)}
        self._found: dict[str, int] = {}
        for one in new:
            most = min(MAX_SCALE, ROOM - len(str(initial_amount(one.quote))) + 1)
            self._need(one.quote, min(most, max(COIN_SCALE, places(one.steps.tick * one.steps.lot))))
        for one in new:
            self._need(one.base, max(min(PLACES, places(one.steps.lot)), _coin_scale(one)))

    def _need(self, asset: str, scale: int) -> None:
        self._found[asset] = max(self._found.get(asset, 0), scale)

    def asset(self, name: str) -> Asset:
        return Asset(name, self.kept.get(name, self._found[name]))

    def lot(self, one: Offer) -> Decimal:
        """The offer's, or a decimal multiple of it of which amounts are exact."""
        lot = one.steps.lot
        quote = self.kept.get(one.quote, self._found[one.quote])
        base = self.kept.get(one.base, self._found.get(one.base, MAX_SCALE))
        while places(one.steps.tick * lot) > quote or places(lot) > min(base, PLACES):
            lot *= 10
        return lot


def _coin_scale(one: Offer) -> int:
    """Of a base asset: five places below its lot for fees, as long as the whole supply has room in 62 bits."""
    lot = places(one.steps.lot)
    return min(COIN_SCALE, lot + 5) if lot else 2


def plain(step: Decimal) -> Decimal:
    """The same number without zeros at its end and without an exponent above 0."""
    return Decimal(f"{step.normalize():f}")


def _listed(one: Offer, scales: _Scales, first: str) -> Listed:
    tick, lot = plain(one.steps.tick), plain(scales.lot(one))
    steps = msgspec.structs.replace(one.steps, tick=tick, lot=lot, base=one.base, quote=one.quote)
    instrument = _instrument(_name(one, first), one, tick, lot, scales)
    return Listed(instrument=instrument, venue=one.venue, venue_symbol=one.symbol, steps=steps, is_open=one.is_open)


def _instrument(name: str, one: Offer, tick: Decimal, lot: Decimal, scales: _Scales) -> Instrument:
    base, quote = scales.asset(one.base), scales.asset(one.quote)
    per_tick_lot, per_lot = int(tick * lot * 10**quote.scale), int(lot * 10**base.scale)
    price = 0 if one.price is None else int(one.price / tick)
    max_price = 10 ** (len(str(price)) + 2) if price else MAX_PRICE_TICKS
    room = INT_LIMIT // per_tick_lot // (max_price if price else 100 * GUESSED_TICKS)
    max_qty = _round_nine(min(MAX_QTY_LOTS, room, INT_LIMIT // LARGEST_NOTIONAL_PARTS // per_lot))
    most = _round_nine(INT_LIMIT // LARGEST_NOTIONAL_PARTS)
    return Instrument(
        symbol=name,
        base=base,
        quote=quote,
        tick=tick,
        lot=lot,
        min_price_ticks=1,
        max_price_ticks=max_price,
        min_qty_lots=1,
        max_qty_lots=max_qty,
        market_min_qty_lots=1,
        market_max_qty_lots=max(1, max_qty // universe.MARKET_LOT_DIVISOR),
        min_notional_units=_min_notional(one, quote),
        max_notional_units=most,
        bid_multiplier_up_ppm=universe.MULTIPLIER_UP_PPM,
        bid_multiplier_down_ppm=universe.MULTIPLIER_DOWN_PPM,
        ask_multiplier_up_ppm=universe.MULTIPLIER_UP_PPM,
        ask_multiplier_down_ppm=universe.MULTIPLIER_DOWN_PPM,
        max_num_orders=universe.MAX_NUM_ORDERS,
        start_price_ticks=price,
        iceberg_parts=universe.ICEBERG_PARTS,
        min_trailing_above_bips=universe.TRAILING_DELTA_BIPS[0],
        max_trailing_above_bips=universe.TRAILING_DELTA_BIPS[1],
        min_trailing_below_bips=universe.TRAILING_DELTA_BIPS[0],
        max_trailing_below_bips=universe.TRAILING_DELTA_BIPS[1],
        max_num_order_amends=universe.MAX_NUM_ORDER_AMENDS,
        max_num_algo_orders=universe.MAX_NUM_ALGO_ORDERS,
        max_num_iceberg_orders=universe.MAX_NUM_ICEBERG_ORDERS,
        max_num_order_lists=universe.MAX_NUM_ORDER_LISTS,
    )


def _min_notional(one: Offer, quote: Asset) -> int:
    told = one.min_notional
    if told is None:
        told = Decimal(initial_amount(one.quote)) / MIN_NOTIONAL_SHARE
    return max(1, int(told * 10**quote.scale))


def _round_nine(most: int) -> int:
    """The largest 9 x 10^k below; at least 1."""
    if most < 9:
        return max(1, most)
    return int(9 * 10 ** (len(str(most // 9)) - 1))
