"""Accepted ratios, and what differs from them. Pure but for the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from bench.report import BenchError

FILE: Final = Path(__file__).with_name("accepted.json")


class Verdict(msgspec.Struct, frozen=True):
    name: str
    found: float
    accepted: float | None
    """None: never accepted, or not measured any more; fails too, so that nothing is lost unnoticed."""
    least: float
    """Below it the ratio has got worse by more than noise."""

    @property
    def passed(self) -> bool:
        return self.accepted is not None and self.found >= self.least


def compare(
    found: Mapping[str, float], accepted: Mapping[str, float], tolerances: Mapping[str, float]
) -> list[Verdict]:
    """Ratios are speeds over a reference's: higher is better. `tolerances`: the share of the accepted one that may be lost."""
    verdicts = []
    for name, ratio in found.items():
        known = accepted.get(name)
        verdicts.append(Verdict(name, ratio, known, 0.0 if known is None else known * (1 - tolerances[name])))
    missing = [name for name in accepted if name not in found]
    return verdicts + [Verdict(name, 0.0, None, 0.0) for name in missing]


def read(path: Path = FILE) -> dict[str, float]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise BenchError(f"cannot read {path}: {error}. `python -m bench gate --accept` writes it anew.") from None


def write(found: Mapping[str, float], path: Path = FILE) -> None:
    rounded = {name: round(ratio, 3) for name, ratio in found.items()}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rounded), indent=2) + b"\n")
