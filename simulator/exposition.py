"""GET /metrics of a miner, for the benchmark: no firmware has it. What a Prometheus would scrape if miners spoke its
format, as many samples from every generation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from .http import Reply

if TYPE_CHECKING:
    from .miner import Miner

PATH = "/metrics"
SAMPLES = 60
CONTENT_TYPE = "text/plain; version=0.0.4"
MODES = ("keep-alive", "close")


def exposition_reply(miner: Miner) -> Reply:
    """`SAMPLES` samples; closes the connection if the miner's spec says so, since a Prometheus never does."""
    body = exposition(miner.printer.values()).encode()
    return Reply(body=body, content_type=CONTENT_TYPE, headers=(), close=miner.spec.exposition == "close")


def exposition(values: Mapping[str, Any]) -> str:
    """The numbers among `values`, from the first again under another label until there are enough."""
    numbers = [(_name(key), value) for key, value in values.items() if type(value) in (int, float)]
    rows = islice(cycle(numbers), SAMPLES)
    return "".join(f'axeos_{name}{{round="{at // len(numbers)}"}} {value}\n' for at, (name, value) in enumerate(rows))


def _name(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)
