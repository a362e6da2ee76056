"""The gunicorn configuration of the service with an additional route that counts live greenlets and objects."""

from pathlib import Path
from typing import Any

_production_config = Path("gunicorn.conf.py")
exec(compile(_production_config.read_text(), _production_config, "exec"))  # it patches first

import gc  # noqa: E402  (nothing may be imported before the patch)
import sys  # noqa: E402

import gevent  # noqa: E402

_post_worker_init = globals()["post_worker_init"]


def count_live_objects() -> dict[str, int]:
    """Return the number of live greenlets and of blocks of Python's allocator.

    Greenlets that exist since the start are not counted. There is about one block per object, 64 bytes on average.
    """
    gc.collect()
    greenlets = sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())
    return {"greenlets": greenlets, "blocks": sys.getallocatedblocks()}


def post_worker_init(worker: Any) -> None:
    worker.wsgi.add_url_rule("/soak", "soak", count_live_objects)
    _post_worker_init(worker)
