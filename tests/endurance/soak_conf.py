"""The service's own configuration, with one route more: how many greenlets and objects live. gunicorn runs
this file."""

from pathlib import Path
from typing import Any

_own = Path("gunicorn.conf.py")
exec(compile(_own.read_text(), _own, "exec"))  # patches first, as always

import gc  # noqa: E402  (nothing may be imported before the patch)
import sys  # noqa: E402

import gevent  # noqa: E402

_start = globals()["post_worker_init"]


def living() -> dict[str, int]:
    """Greenlets without those that lived when the service had started: they stay. `blocks`: of Python's allocator,
    about one for each object, 64 bytes in the mean."""
    gc.collect()
    greenlets = sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())
    return {"greenlets": greenlets, "blocks": sys.getallocatedblocks()}


def post_worker_init(worker: Any) -> None:
    worker.wsgi.add_url_rule("/soak", "soak", living)
    _start(worker)
