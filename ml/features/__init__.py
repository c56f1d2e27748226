"""What a model sees of a market: one definition for training and for serving. Pure.

`FeatureStream` (event by event) and `feature_rows` (whole arrays) give the same rows of trades, quotes and depth to the
last bit; `CandleStream` and `candle_rows` those of candles. Both halves collect integers or whole windows, and one
function makes the floats of them (`formulas`, `candles`). No row knows anything later than its own time:
`ml.leaks` checks that.
"""

from ml.features.batch import feature_rows
from ml.features.candles import CANDLE_FEATURES, Candles, CandleStream, candle_rows, candles_of
from ml.features.events import Depth, Event, Events, Quote, Trade, packed, until
from ml.features.spec import FeatureSpec
from ml.features.stream import FeatureStream

__all__ = [
    "CANDLE_FEATURES",
    "CandleStream",
    "Candles",
    "Depth",
    "Event",
    "Events",
    "FeatureSpec",
    "FeatureStream",
    "Quote",
    "Trade",
    "candle_rows",
    "candles_of",
    "feature_rows",
    "packed",
    "until",
]
