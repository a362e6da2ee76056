"""The worker class for gunicorn. The master imports this module too, so it imports no gevent and nothing of the
service."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.base import Worker as BaseWorker


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types
    """Becomes the gevent worker of app/security/http_server.py in the worker's process.

    The master instantiates the class before it forks. With the gevent worker's own class it would import gevent and the
    service: 40 MB more in a second process.
    """

    def init_process(self) -> None:
        """Patch, import, and become the gevent worker, then run its `init_process`."""
        from gevent import monkey

        monkey.patch_all()
        from app.security.http_server import GeventWorker

        self.__class__: Any = GeventWorker
        self.worker_connections = self.cfg.worker_connections
        self.init_process()
