"""Structured logs: one JSON line an event, to a rotated file in the data directory; errors also to stderr."""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Final

import structlog

MAX_BYTES: Final = 20 * 1024 * 1024
KEPT: Final = 3


def configure(data_dir: str, name: str) -> None:
    folder = Path(data_dir) / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    to_file = logging.handlers.RotatingFileHandler(folder / f"{name}.log", maxBytes=MAX_BYTES, backupCount=KEPT)
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setLevel(logging.ERROR)
    root = logging.getLogger("raypit")
    root.handlers = [to_file, to_stderr]
    root.setLevel(logging.INFO)
    root.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: root,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
