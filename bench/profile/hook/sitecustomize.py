"""Python imports this by itself at its start where this folder is in PYTHONPATH: each process of a profiled exchange."""

import os

if folder := os.environ.get("BENCH_STAMPS"):
    from bench.profile import stamps

    stamps.install(folder)
