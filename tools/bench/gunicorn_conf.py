"""The service's own gunicorn configuration plus the observer in its worker. gunicorn executes this file."""

import os
from pathlib import Path
from typing import Any

_service_conf = Path("gunicorn.conf.py")
exec(compile(_service_conf.read_text(), _service_conf, "exec"))
_start_service = globals()["post_worker_init"]


def post_worker_init(worker: Any) -> None:
    from tools.bench.observer import Observer  # Imports gevent, which only the worker may do.

    observer = Observer(worker.wsgi.extensions["pluto"])
    observer.add_routes(worker.wsgi)
    if os.environ["BENCH_WATCH"] == "on":
        observer.watch.start()
    _start_service(worker)
    observer.mark_started()
