"""The regression gate's comparison: noise passes, a loss past the tolerance and a ratio without a fellow do not."""

from pathlib import Path

import pytest

from bench.accepted import compare, read, write
from bench.report import BenchError


def test_a_loss_past_the_tolerance_fails() -> None:
    tolerances = {"book": 0.2, "ledger": 0.3, "decode": 0.1}
    accepted = {"book": 10.0, "ledger": 10.0, "decode": 2.0}
    verdicts = compare({"book": 8.1, "ledger": 6.9, "decode": 5.0}, accepted, tolerances)
    assert {one.name: one.passed for one in verdicts} == {"book": True, "ledger": False, "decode": True}
    assert verdicts[0].least == pytest.approx(8.0)


def test_what_is_new_or_gone_fails() -> None:
    verdicts = compare({"new": 3.0}, {"gone": 4.0}, {"new": 0.2})
    assert [(one.name, one.accepted, one.passed) for one in verdicts] == [("new", None, False), ("gone", None, False)]


def test_the_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    assert read(path) == {}
    write({"book": 12.34567}, path)
    assert read(path) == {"book": 12.346}
    path.write_text("{")
    with pytest.raises(BenchError, match="--accept"):
        read(path)
