"""A training as one HTML page: what was learned from, each model beside the naive one, plots as SVG. Needs nothing else."""

import html
import io
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from ml.forecast import LEVELS, Manifest
from ml.training import Outcome

_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1c2733}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
td,th{padding:.35em .6em;border-bottom:1px solid #dde3ea;text-align:right}td:first-child,th:first-child{text-align:left}
.better{color:#0a7a3d;font-weight:600}.worse{color:#b3261e;font-weight:600}.small{color:#5a6b7b;font-size:13px}
svg{max-width:100%;height:auto}h2{margin-top:2em}"""
_COLORS: Final = {
    "naive": "#8a97a5", "linear": "#c77d0a", "garch": "#7a4fb3", "forest": "#2c8a57", "xgboost": "#1f6fd1",
    "stack": "#1c2733", "lstm": "#b3436b",
}  # fmt: skip
_MOST_POINTS: Final = 400
"""Of a curve."""


def report(outcome: Outcome, manifest: Manifest, notes: tuple[str, ...] = ()) -> str:
    found = {kind: one.metrics for kind, one in outcome.models.items()}
    better = [kind for kind, one in found.items() if one["better_than_naive"]]
    verdict = (
        f"Better than the naive forecast: <span class=better>{', '.join(better)}</span>."
        if better
        else "<span class=worse>No model is better than the naive forecast.</span>"
    )
    what = [
        f"{', '.join(manifest.symbols)}; {_date(manifest.from_ns)} to {_date(manifest.to_ns)} UTC; from {manifest.source}.",
        f"{len(outcome.tested.ts_ns):,} rows were tested, none of them learned: walk-forward, purged and embargoed by "
        f"{manifest.horizon}. Intervals: bootstrap over {found['naive']['blocks']} blocks of time, 95 % for the three "
        "targets together. Better means: at one target by its interval, and worse at none.",
        *notes,
    ]
    parts = [
        f"<h1>Forecasts of {manifest.horizon}</h1><p>{verdict}</p>",
        *(f"<p class=small>{html.escape(one)}</p>" for one in what),
        _table(found), "<h2>Loss less the naive forecast's</h2>", _differences(found),
        "<h2>Is a probability what it says?</h2>", _reliability(found),
        "<h2>Do the quantiles hold what they promise?</h2>", _coverage(found),
        "<h2>Money after fees</h2>", _money_table(found), _equity(outcome),
    ]  # fmt: skip
    title = f"Raypit: forecasts of {manifest.horizon}"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    return f"{head}<body>{''.join(parts)}</body></html>"


def _date(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def _table(found: dict[str, Any]) -> str:
    columns = ("model", "log-loss", "Brier", "AUC", "rank IC", "pinball, bp", "volatility error, bp", "ECE", "verdict")
    rows = []
    for kind, one in found.items():
        cells = [kind, *(_told(one[name], 4) for name in ("log_loss", "brier", "auc", "rank_ic"))]
        cells += [_told(one["pinball_bp"], 3), _told(one["volatility_error_bp"], 3), f"{one['ece']:.3f}", _verdict(one)]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return _rows(columns, rows)


def _told(interval: list[float], digits: int) -> str:
    value, low, high = interval
    return f"{value:.{digits}f}<br><span class=small>{low:.{digits}f} … {high:.{digits}f}</span>"


def _verdict(one: dict[str, Any]) -> str:
    better = f"<span class=better>better at {', '.join(one['better_at'])}</span>" if one["better_at"] else ""
    worse = f"<span class=worse>worse at {', '.join(one['worse_at'])}</span>" if one["worse_at"] else ""
    return "<br>".join(filter(None, (better, worse))) or "no better"


def _rows(columns: tuple[str, ...], rows: list[str]) -> str:
    head = "".join(f"<th>{one}</th>" for one in columns)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _money_table(found: dict[str, Any]) -> str:
    """One symbol's part each, taker fee 0.1 % and half the spread a side; the rules are in `ml.money`."""
    names = list(found["naive"]["money"])
    rows = []
    for kind, one in found.items():
        cells = [
            f"{m['return']:+.2%} <span class=small>({m['trades']})</span>" for m in (one["money"][n] for n in names)
        ]
        rows.append("".join(f"<td>{cell}</td>" for cell in (kind, *cells)))
    words = (
        "<p class=small>careful: buys when the median return is above the cost of a round trip, sells when it is below 0. "
        "eager: in the market while a rise is likelier than not. Taker fee 0.1 % and half the spread on each side; in "
        "brackets the round trips.</p>"
    )
    return words + _rows(("model", *names), rows)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.hashsalt": "raypit", "font.size": 9, "axes.spines.top": False,
                                "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25})  # fmt: skip
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _differences(found: dict[str, Any]) -> str:
    others = [kind for kind in found if kind != "naive"]
    units = {"direction": "log-loss", "returns": "pinball, bp", "volatility": "absolute error, bp"}
    figure, axes = _figure(10, 0.5 + 0.35 * max(len(others), 2), len(units))
    for axis, (target, unit) in zip(axes, units.items(), strict=True):
        for k, kind in enumerate(others):
            value, low, high = np.clip(found[kind]["against_naive"][target], -1e6, 1e6)
            axis.plot([low, high], [k, k], color=_COLORS[kind], linewidth=2)
            axis.plot([value], [k], "o", color=_COLORS[kind])
        axis.axvline(0, color="#8a97a5", linewidth=1)
        axis.set_yticks(range(len(others)), others)
        axis.invert_yaxis()
        axis.set_title(f"{target} ({unit}); left is better", fontsize=9)
    return _svg(figure)


def _reliability(found: dict[str, Any]) -> str:
    figure, (axis,) = _figure(6, 4)
    axis.plot([0, 1], [0, 1], color="#8a97a5", linewidth=1, linestyle="--")
    for kind, one in found.items():
        said, was, rows = zip(*one["reliability"], strict=True)
        sizes = 8 + 80 * np.array(rows) / max(rows)
        axis.plot(said, was, color=_COLORS[kind], linewidth=1, label=kind)
        axis.scatter(said, was, s=sizes, color=_COLORS[kind])
    axis.set(xlabel="probability of a rise that was told", ylabel="share that rose")
    axis.legend(frameon=False)
    return _svg(figure)


def _coverage(found: dict[str, Any]) -> str:
    figure, (axis,) = _figure(6, 2.8)
    width = 0.8 / len(found)
    for k, (kind, one) in enumerate(found.items()):
        axis.bar(
            np.arange(3) + (k - len(found) / 2 + 0.5) * width, one["coverage"], width, color=_COLORS[kind], label=kind
        )
    for k, level in enumerate(LEVELS):
        axis.plot([k - 0.45, k + 0.45], [level, level], color="#b3261e", linewidth=1.5)
    axis.set_xticks(range(3), [f"quantile {level:g}" for level in LEVELS])
    axis.set_ylabel("share of returns below")
    axis.legend(frameon=False, ncols=4, fontsize=8)
    return _svg(figure)


def _equity(outcome: Outcome) -> str:
    figure, axes = _figure(10, 3.2, 2)
    for axis, strategy in zip(axes, ("careful", "eager"), strict=True):
        for kind, one in outcome.models.items():
            _line(axis, one.curves[strategy], _COLORS[kind], kind)
        _line(axis, outcome.models["naive"].curves["buy and hold"], "#b3261e", "buy and hold")
        axis.set_title(strategy, fontsize=9)
        axis.tick_params(axis="x", labelrotation=30)
    axes[0].legend(frameon=False, fontsize=8)
    return _svg(figure)


def _line(axis: Any, curve: Any, color: str, label: str) -> None:
    some = np.unique(np.linspace(0, len(curve.ts_ns) - 1, _MOST_POINTS).astype(int))
    axis.plot(curve.ts_ns[some].astype("datetime64[ns]"), curve.equity[some], color=color, linewidth=1.2, label=label)
