"""Answers of binance-sdk-spot as the plain values the venue sent, after the client has put them into its models."""

import logging
from typing import Any, Final

import pytest

MISFIT: Final = ("did not match the declared types", "Failed to parse", "Unable to parse")
"""What the client logs when an answer is not of the shape that it was generated for."""


def plain(value: Any) -> Any:
    """The models as dictionaries under the venue's names; of an answer over the WebSocket API its result."""
    if hasattr(value, "data") and callable(value.data):
        value = value.data()
    if getattr(value, "actual_instance", None) is not None:
        value = value.actual_instance
    if isinstance(value, list):
        return [plain(one) for one in value]
    rows = getattr(value, "result", None)
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        return rows  # candles: the client cannot turn their model into a dictionary
    told = _without_extras(value.to_dict() if hasattr(value, "to_dict") else value)
    return told["result"] if isinstance(told, dict) and "result" in told else told


def _without_extras(value: Any) -> Any:
    """What the client's models add where there is nothing to add."""
    if isinstance(value, list):
        return [_without_extras(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_extras(one) for name, one in value.items() if name != "additional_properties"}


def misfits(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and any(one in record.getMessage() for one in MISFIT)
    ]
