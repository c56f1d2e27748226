"""Features of a real market: 13 seconds of Binance as they arrived."""

import gzip
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from market.intervals import SECOND_NS
from market.venues import ADAPTERS
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Quote, Steps, Trade
from ml.features import Depth, Event, FeatureSpec, FeatureStream, feature_rows, packed, until
from ml.features.events import DEPTH_LEVELS, quote_of, trade_of
from ml.leaks import assert_no_leak
from tests.unit.venue_recordings import SLICES

SPEC = FeatureSpec(windows_ns=(SECOND_NS, 5 * SECOND_NS))


def arrived() -> Iterator[Event]:
    adapter = ADAPTERS["binance"]({"BTCUSDT": Steps(Decimal("0.01"), Decimal("0.00001"))})
    book = VenueBook("BTCUSDT", adapter.book_rule)
    with gzip.open(SLICES / "binance_spot_btcusdt.gz") as lines:
        for line in lines:
            stamp, _, frame = line.partition(b" ")
            snapshot = frame.startswith(b'{"lastUpdateId"')
            for event in [adapter.decode_snapshot("BTCUSDT", frame)] if snapshot else adapter.decode(frame):
                match event:
                    case Trade():
                        yield trade_of(event, int(stamp))
                    case Quote():
                        yield quote_of(event, int(stamp))
                    case BookDelta() | BookSnapshot():
                        book.apply(event)
                        if book.live:
                            yield Depth.of(int(stamp), *book.top(DEPTH_LEVELS))


def test_a_recorded_market() -> None:
    told = list(arrived())
    at_ns = np.arange(told[0].ts_ns + 6 * SECOND_NS, told[-1].ts_ns, SECOND_NS // 4)
    rows = feature_rows(packed(told), at_ns, SPEC)
    stream, streamed, ahead = FeatureStream(SPEC), [], iter(told)
    event = next(ahead)
    for ts_ns in at_ns.tolist():
        while event.ts_ns <= ts_ns:
            stream.add(event)
            event = next(ahead)
        streamed.append(stream.row(ts_ns))
    assert np.array(streamed).tobytes() == rows.tobytes()
    assert np.isfinite(rows).all()
    assert_no_leak(lambda known, times: feature_rows(known, times, SPEC), packed(told), until, at_ns, SPEC.names)
    of = dict(zip(SPEC.names, rows.T, strict=True))
    assert (of["spread_ticks"] == 1).mean() > 0.9, "the pair trades at the tick"
    assert np.corrcoef(of["order_flow_imbalance_5s"], of["return_5s"])[0, 1] > 0.3, "flow moves the price"
