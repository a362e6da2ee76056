"""GET /metrics of a miner in the Prometheus text format, for the benchmark. No firmware has this route.

Every generation exports the same number of samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import cycle, islice
from typing import Any

from .connection import Connection
from .context import HandlerContext
from .http_messages import Reply, Request

PATH = "/metrics"
SAMPLES = 60
CONTENT_TYPE = "text/plain; version=0.0.4"
MODES = ("keep-alive", "close")


def get_metrics(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """Return `SAMPLES` samples. Mode `close` closes the connection, because Prometheus never does."""
    body = format_samples(context.printer.read_values()).encode()
    close = context.state.spec.exposition == "close"
    return Reply(body=body, content_type=CONTENT_TYPE, headers=(), close=close)


def format_samples(values: Mapping[str, Any]) -> str:
    """Return the numbers among `values` as samples, repeated under another label until there are `SAMPLES`."""
    numbers = [(_name_metric(key), value) for key, value in values.items() if type(value) in (int, float)]
    rows = islice(cycle(numbers), SAMPLES)
    return "".join(f'axeos_{name}{{round="{at // len(numbers)}"}} {value}\n' for at, (name, value) in enumerate(rows))


def _name_metric(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)
