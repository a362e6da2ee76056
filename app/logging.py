"""Logs: one JSON object per line on stderr, so that nothing a device says can forge or break a line.

`log.info("miner lost", extra={"mac": mac})` becomes `{"at": .., "level": "info", "logger": .., "message": "miner lost",
"mac": ..}`.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

from app.clock import iso

_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_NOISY = ("engineio", "socketio", "geventwebsocket", "zeroconf", "urllib3", "werkzeug")
# They write plain text lines of their own, unless somebody has set a level.
_SELF_WILLED = ("engineio.server", "socketio.server")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _OWN}
        line = extra | {
            "at": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # half a surrogate pair, a huge integer: everything as text
            return orjson.dumps({key: _clean(str(value)) for key, value in line.items()}).decode()


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()


def configure_logging(level: str) -> None:
    """Send every log of this process to stderr at `level` (debug, info, warning, error); libraries only from warning
    up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in (*_NOISY, *_SELF_WILLED):
        logging.getLogger(name).setLevel(logging.WARNING)
