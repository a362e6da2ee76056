"""The length of the loops: 1 in .ci/run; `make soak` multiplies it with SOAK."""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("SOAK", "1"))


def scale_loops(loops: int) -> int:
    return max(1, round(loops * FACTOR))
