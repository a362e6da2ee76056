"""The service's own configuration, with the observer in its worker. gunicorn runs this file, nobody imports it."""

import os
from pathlib import Path
from typing import Any

_own = Path("gunicorn.conf.py")
exec(compile(_own.read_text(), _own, "exec"))

_start = globals()["post_worker_init"]


def post_worker_init(worker: Any) -> None:
    from tools.bench.observer import Observer  # in the worker only, as the service itself

    observer = Observer(worker.wsgi.extensions["pluto"])
    observer.add_routes(worker.wsgi)
    if os.environ["BENCH_WATCH"] == "on":
        observer.watch.start()
    _start(worker)
    observer.started()
