"""The gateway's link to the predictor: predictions, analyses and their state, for HTTP, sockets and the assistant.

Connects to every replica that listens in the run folder; asks them in turn. Nothing waits for a predictor that is away: the
answer is `PREDICTOR_UNAVAILABLE` at once, until one is back.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from actors.errors import LinkDown, Refused
from actors.questions import Questions
from actors.stream import Link, connect
from actors.wire import Kind
from market.instrument import from_steps
from ml.forecast import HORIZONS, Floats, horizon_name
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.prediction_schema import (
    AnalysisView,
    CorrelationView,
    ForecastView,
    PredictionView,
    SignalView,
    TrendView,
    VolatilityView,
)
from serve.predictor import SOCKETS

log = structlog.get_logger()

LOOK_EVERY_S: Final = 0.2
STALE_S: Final = 10.0
WAITING_LIMIT: Final = 4096
"""Questions of this gateway that wait for an answer."""
DEFAULT_HORIZON: Final = "15m"
INTERVALS_NS: Final = {"1s": 1_000_000_000, "1m": 60_000_000_000, "1h": 3_600_000_000_000}
_IN_PRICE: Final = frozenset(
    ("close", "sma_20", "ema_12", "ema_26", "ema_50", "sma_200", "macd", "macd_signal", "macd_hist", "bollinger_upper",
     "bollinger_middle", "bollinger_lower", "atr_14")
)  # fmt: skip
"""Indicators that are prices, or differences of them."""


class PredictorLink:
    """Questions to one replica."""

    def __init__(self) -> None:
        self._questions = Questions("the predictor")
        self._link: Link | None = None

    async def open(self, path: str) -> None:
        """OSError when nobody listens."""
        self._link = await connect(path, self._on_frame, self._on_close)

    @property
    def is_open(self) -> bool:
        return self._link is not None and self._link.is_open

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    async def call(self, method: str, *args: Any) -> Any:
        """LinkDown, Refused."""
        if self._link is None or not self._link.is_open:
            raise LinkDown("the predictor is away")
        if len(self._questions) >= WAITING_LIMIT:
            raise Refused("OVERLOADED", "Too many questions wait for the predictor.")
        return await self._questions.ask(self._link, method, args)

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind != Kind.REPLY:
            raise ValueError(f"unexpected frame {kind}")
        self._questions.answered(body)

    def _on_close(self, link: Link) -> None:
        self._questions.lost()


class Predictions:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._folder = Path(gateway.settings.run_dir)
        self._links: dict[str, PredictorLink] = {}
        self._turn = 0

    async def run(self) -> None:
        """Finds replicas as they come and go."""
        while True:
            for path, link in list(self._links.items()):
                if not link.is_open:
                    del self._links[path]
            for path in map(str, self._folder.glob(SOCKETS)):
                if path not in self._links:
                    await self._join(path)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _join(self, path: str) -> None:
        link = PredictorLink()
        try:
            await link.open(path)
        except ConnectionRefusedError:
            _clear(Path(path))
        except OSError as error:
            log.info("predictor not reached", error=str(error))
        else:
            self._links[path] = link

    @property
    def links(self) -> list[PredictorLink]:
        """Those that are open."""
        return [link for link in self._links.values() if link.is_open]

    async def ask(self, method: str, *args: Any) -> Any:
        """ApiError: PREDICTOR_UNAVAILABLE, or what the predictor refuses with. Questions change nothing: when a replica
        goes away, the next one is asked."""
        for link in self._in_turn():
            try:
                return await link.call(method, *args)
            except LinkDown:
                continue
            except Refused as refused:
                code = Code.__members__.get(refused.code, Code.INTERNAL)
                field = "features" if code is Code.VALIDATION else None
                raise ApiError(code, refused.text if code is not Code.INTERNAL else None, field) from None
        raise ApiError(Code.PREDICTOR_UNAVAILABLE)

    def _in_turn(self) -> list[PredictorLink]:
        links = self.links
        self._turn += 1
        at = self._turn % len(links) if links else 0
        return links[at:] + links[:at]

    # -- predictions ----------------------------------------------------------------------------------------------

    async def predict(
        self, symbol: str, horizon: str | None = None, model: str | None = None, version: int | None = None
    ) -> PredictionView:
        """ApiError: UNKNOWN_SYMBOL, NO_MODEL, FEATURES_UNAVAILABLE, PREDICTOR_UNAVAILABLE.

        `model`: a promoted model's name or kind; None: the one promoted for the horizon.
        """
        terms = self._gateway.desk.terms_of(symbol)
        head, as_of_ns, price_ticks, figures = await self.ask("predict", symbol, *_which(horizon, model, version))
        price = from_steps(price_ticks, terms.tick) if price_ticks else None
        return _view(head, symbol, as_of_ns, price, [ForecastView(*figures)])

    async def predict_rows(
        self, rows: Floats, horizon: str | None = None, model: str | None = None, version: int | None = None
    ) -> PredictionView:
        """Of own features, float64[n, columns]. ApiError as `predict`, VALIDATION, OVERLOADED."""
        head, data = await self.ask("rows", *_which(horizon, model, version), rows.shape[1], rows.tobytes())
        columns = np.frombuffer(data, np.float64).reshape(5, -1).tolist()
        return _view(head, None, None, None, list(map(ForecastView, *columns)))

    async def analysis(self, symbol: str, interval: str = "1m") -> AnalysisView:
        """ApiError: UNKNOWN_SYMBOL, PREDICTOR_UNAVAILABLE."""
        terms = self._gateway.desk.terms_of(symbol)
        found = await self.ask("analysis", symbol, INTERVALS_NS[interval])
        state, tick = found["state"], float(terms.tick)
        trend = state["trend"]
        predictions = []
        for head, as_of_ns, price_ticks, figures in found["predictions"]:
            price = from_steps(price_ticks, terms.tick) if price_ticks else None
            predictions.append(_view(head, symbol, as_of_ns, price, [ForecastView(*figures)]))
        indicators = {
            name: round(value * tick, 10) if name in _IN_PRICE else round(value, 4)
            for name, value in state["indicators"].items()
        }
        return AnalysisView(
            symbol=symbol,
            interval=interval,
            as_of_ns=found["as_of_ns"],
            candles=state["candles"],
            trend=None if trend is None else msgspec.convert(trend, TrendView),
            volatility=msgspec.convert(state["volatility"], VolatilityView),
            indicators=indicators,
            signals=msgspec.convert(state["signals"], list[SignalView]),
            signal_score=state["score"],
            correlation=msgspec.convert(found["correlation"], CorrelationView),
            predictions=predictions,
        )


def _clear(path: Path) -> None:
    """A socket of a replica that was killed: nobody listens there again. A fresh one is about to be listened on."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > STALE_S:
            path.unlink()


def _which(horizon: str | None, model: str | None, version: int | None) -> tuple[int | None, str | None, int | None]:
    if horizon is None and model is None and version is None:
        horizon = DEFAULT_HORIZON
    return None if horizon is None else HORIZONS[horizon], model, version


def _view(
    head: list[Any], symbol: str | None, as_of_ns: int | None, price: str | None, forecasts: list[ForecastView]
) -> PredictionView:
    version, name, kind, horizon_ns, better = head
    return PredictionView(
        model=name,
        version=version,
        kind=kind,
        horizon=horizon_name(horizon_ns),
        better_than_naive=better,
        symbol=symbol,
        as_of_ns=as_of_ns,
        price=price,
        forecasts=forecasts,
    )
