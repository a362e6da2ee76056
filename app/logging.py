"""Logs one JSON object per line to stderr, so that text from a device cannot forge or break a line.

`log.info("device offline", extra={"mac": mac})` becomes `{"at": .., "level": "info", "logger": .., "message": "device
offline", "mac": ..}`.
"""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import orjson

from app.clock import format_iso

_RECORD_ATTRIBUTES = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_NOISY_LOGGERS = ("engineio", "socketio", "geventwebsocket", "zeroconf", "urllib3", "werkzeug")
# These write plain text lines to stderr unless a level is set.
_PLAIN_TEXT_LOGGERS = ("engineio.server", "socketio.server")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}
        line = extra | {
            "at": format_iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # half a surrogate pair, a huge integer: everything as text
            return orjson.dumps({key: _replace_surrogates(str(value)) for key, value in line.items()}).decode()


def _replace_surrogates(text: str) -> str:
    return text.encode(errors="replace").decode()


def configure_logging(level: str) -> None:
    """Send every log of this process to stderr at `level` (debug, info, warning, error); libraries only from warning
    up. Unhandled exceptions are logged too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in (*_NOISY_LOGGERS, *_PLAIN_TEXT_LOGGERS):
        logging.getLogger(name).setLevel(logging.WARNING)
    _log_unhandled_exceptions(handler)


def _log_unhandled_exceptions(handler: logging.Handler) -> None:
    """Log unhandled exceptions as JSON lines. Python and gevent would print them to stderr as text."""

    def log_unhandled(source: str, kind: Any, error: Any, trace: Any, **extra: Any) -> None:
        if isinstance(error, BaseException):
            kind, trace = type(error), trace or error.__traceback__
        record = logging.getLogger(source).makeRecord(
            source, logging.ERROR, "", 0, "unhandled exception", (), (kind, error, trace), extra=extra
        )
        # Not through the logger: its locks are gevent's, and the hub, which calls this, must not block.
        handler.emit(record)

    sys.excepthook = lambda *error: log_unhandled("python", *error)
    sys.unraisablehook = lambda of: log_unhandled(
        "python", of.exc_type, of.exc_value, of.exc_traceback, context=f"{of.err_msg or 'in'} {of.object!r}"
    )
    threading.excepthook = lambda of: log_unhandled(
        "threading", of.exc_type, of.exc_value, of.exc_traceback, context=str(of.thread)
    )
    if "gevent" in sys.modules:  # gunicorn's master does not import it
        from gevent import get_hub

        get_hub().print_exception = lambda context, *error: log_unhandled("gevent", *error, context=str(context))
