"""gunicorn's worker, which the master imports too: so this module imports nothing of the service, and no gevent."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.base import Worker as BaseWorker


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types
    """Becomes the gevent worker of app/security/connections.py in the worker's process.

    The master makes an object of the class before it forks. With the gevent worker's own class it would have to import
    gevent, and the service's code beside it, only for that: 40 MB that are then in two processes.
    """

    def init_process(self) -> None:
        """Patch, import and become the gevent worker, then do what that does."""
        from gevent import monkey

        monkey.patch_all()
        from app.security.connections import Worker as GeventWorker

        self.__class__: Any = GeventWorker
        self.worker_connections = self.cfg.worker_connections
        self.init_process()
