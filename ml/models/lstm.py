"""A recurrent network (LSTM, Hochreiter and Schmidhuber 1997) of PyTorch over the newest rows of a symbol; extra `raypit[lstm]`.

One layer, five outputs: log odds by log-loss, three return quantiles by pinball loss, log volatility by squared error,
returns and volatility as multiples of the last row's volatility, like the trees. Kept as safetensors, never pickle.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast, Manifest, in_order
from ml.models.inputs import Standard, logistic
from ml.models.scale import Scale, scale_of
from ml.sequences import Integers, gathered, last_rows

LSTM: Final[dict[str, Any]] = {
    "length": 32, "hidden": 24, "eta": 3e-3, "decay": 1e-3, "batch": 256, "epochs": 40, "patience": 4
}  # fmt: skip
"""Trained until `patience` epochs brought the validation part nothing, at most `epochs`."""
_KEPT: Final = "lstm.json"
_WEIGHTS: Final = "lstm.safetensors"
_CLIP: Final = 20.0
"""Last volatilities, of a return."""
_STEEPEST: Final = 1.0
"""Norm of a gradient; a longer one is shortened."""
_AT_ONCE: Final = 4096
"""Sequences that are forecast in one go."""


class LstmUnavailable(ImportError):
    """PyTorch or safetensors is not installed; says how to install them."""


class Parameters(msgspec.Struct, frozen=True):
    length: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    """Rows of a sequence."""
    scale: Scale
    standard: Standard


class Lstm:
    def __init__(self, manifest: Manifest, parameters: Parameters, net: Any) -> None:
        self.manifest = manifest
        self.parameters: Final = parameters
        self._net: Final = net

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Lstm":
        """ValueError when the weights are not those of such a network."""
        torch = require_torch()
        from safetensors.torch import load

        parameters = msgspec.json.decode(files[_KEPT], type=Parameters)
        try:
            weights = load(files[_WEIGHTS])
            net = _network(len(manifest.features), weights["head.weight"].shape[1])
            net.load_state_dict(weights)
        except Exception as error:  # safetensors and torch have their own
            raise ValueError(f"{_WEIGHTS}: {error}; train or restore this model again") from None
        if not all(bool(torch.isfinite(one).all()) for one in weights.values()):
            raise ValueError(f"{_WEIGHTS}: not every weight is a number; train or restore this model again")
        return cls(manifest, parameters, net)

    @classmethod
    def fit(
        cls, manifest: Manifest, data: DataSet, train: Integers, valid: Integers, given: Mapping[str, Any] | None = None
    ) -> "Lstm":
        """Of some rows of `data`, by number; their sequences may reach before them. `valid` says when to stop."""
        torch = require_torch()
        wanted = LSTM | dict(given or {})
        parameters = Parameters(
            int(wanted["length"]),
            scale_of(manifest, data.features[train]),
            Standard.of(data.features[train]),
        )
        with _one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(manifest.seed)
            net = _network(len(manifest.features), int(wanted["hidden"]))
            _learn(net, data, train, valid, parameters, wanted)
        return cls(manifest, parameters, net)

    def files(self) -> dict[str, bytes]:
        from safetensors.torch import save

        kept = msgspec.json.format(msgspec.json.encode(self.parameters))
        return {_KEPT: kept, _WEIGHTS: bytes(save(self._net.state_dict()))}

    def predict(self, rows: Floats) -> Forecast:
        """Of sequences [n, length, columns], or the same flat: [n, length * columns]. ValueError of another shape."""
        torch = require_torch()
        rows, known = self._checked(rows), self.parameters
        with _one_thread(), torch.inference_mode():
            scaled = torch.from_numpy(known.standard.apply(rows).astype(np.float32))
            found = _outputs(self._net, scaled).numpy().astype(np.float64)
        scale = known.scale.of(rows[:, -1])
        low, median, high = in_order(*(found[:, 1:4].T * scale))
        return Forecast(logistic(found[:, 0]), low, median, high, np.exp(np.clip(found[:, 4], -5, 5)) * scale)

    def predict_rows(self, data: DataSet, which: Integers) -> Forecast:
        """Of some rows, by number, each with what came before it."""
        numbers = last_rows(data, self.parameters.length)[which]
        parts = [
            self.predict(gathered(data.features, numbers[first : first + _AT_ONCE]))
            for first in range(0, max(len(numbers), 1), _AT_ONCE)
        ]
        return Forecast(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _checked(self, rows: Floats) -> Floats:
        length, columns = self.parameters.length, len(self.manifest.features)
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.shape[1:] not in ((length, columns), (length * columns,)):
            raise ValueError(
                f"rows: shape {rows.shape}, but {self.manifest.name} takes the last {length} rows of each symbol: "
                f"[n, {length}, {columns}]"
            )
        return rows.reshape(-1, length, columns)


def require_torch() -> Any:
    """The module. LstmUnavailable."""
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise LstmUnavailable(
            f"lstm: {error.name} is not installed; `pip install 'raypit[lstm]'`, or leave lstm out of --models"
        ) from None
    return torch


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of floats in another order are other weights."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _network(columns: int, hidden: int) -> Any:
    from torch import nn

    lstm = nn.LSTM(columns, hidden, batch_first=True)
    nn.init.ones_(lstm.bias_ih_l0[hidden : 2 * hidden])  # gates that forget little at first (Jozefowicz 2015)
    return nn.ModuleDict({"lstm": lstm, "head": nn.Linear(hidden, 2 + len(LEVELS))})


def _outputs(net: Any, sequences: Any) -> Any:
    states, _ = net["lstm"](sequences)
    return net["head"](states[:, -1])


def _learn(
    net: Any, data: DataSet, train: Integers, valid: Integers, parameters: Parameters, wanted: Mapping[str, Any]
) -> None:
    """Leaves the weights of the best epoch in `net`."""
    import torch

    unknown = np.zeros((1, data.features.shape[1]))  # number NONE, the last one: a row of means
    scaled = torch.from_numpy(np.vstack((parameters.standard.apply(data.features), unknown)).astype(np.float32))
    numbers = torch.from_numpy(last_rows(data, parameters.length)) % len(scaled)
    targets = torch.from_numpy(_targets(data, parameters.scale))
    optimizer = torch.optim.AdamW(net.parameters(), lr=wanted["eta"], weight_decay=wanted["decay"])
    rows, best, kept, idle = torch.from_numpy(train), np.inf, None, 0
    for _ in range(int(wanted["epochs"])):
        for part in rows[torch.randperm(len(rows))].split(int(wanted["batch"])):
            optimizer.zero_grad()
            _loss(_outputs(net, scaled[numbers[part]]), targets[part]).mean().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), _STEEPEST)
            optimizer.step()
        with torch.inference_mode():
            parts = torch.from_numpy(valid).split(_AT_ONCE)
            loss = float(torch.cat([_loss(_outputs(net, scaled[numbers[p]]), targets[p]) for p in parts]).mean())
        if loss < best:
            best, kept, idle = loss, {name: one.clone() for name, one in net.state_dict().items()}, 0
        else:
            idle += 1
        if idle >= wanted["patience"]:
            break
    if kept is None:
        raise ValueError("lstm: no epoch had a loss that is a number; take another seed or leave lstm out of --models")
    net.load_state_dict(kept)


def _targets(data: DataSet, scale: Scale) -> Any:
    """float32[n, 3]: rose, return and log volatility by the last volatility."""
    sigma = scale.of(data.features)
    volatility = np.log(np.maximum(data.labels.volatility, scale.floor) / sigma)
    returns = np.clip(data.labels.returns / sigma, -_CLIP, _CLIP)
    return np.column_stack((data.labels.direction, returns, volatility)).astype(np.float32)


def _loss(found: Any, targets: Any) -> Any:
    """Of each row, all targets together."""
    import torch

    odds = torch.nn.functional.binary_cross_entropy_with_logits(found[:, 0], targets[:, 0], reduction="none")
    levels = torch.tensor(LEVELS)
    error = targets[:, 1:2] - found[:, 1:4]
    pinball = torch.maximum(levels * error, (levels - 1) * error).mean(dim=1)
    return odds + pinball + (targets[:, 2] - found[:, 4]) ** 2
