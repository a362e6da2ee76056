"""How long the loops are: once in .ci/run, longer under `make soak`, which sets SOAK to how many times as long."""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("SOAK", "1"))


def times(loops: int) -> int:
    return max(1, round(loops * FACTOR))
