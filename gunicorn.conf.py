"""How the service runs: one gevent websocket worker. Socket.IO needs all clients in one process, LevelDB one owner."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  (nothing may be imported before the patch)
import sys  # noqa: E402

import gevent  # noqa: E402
from gunicorn import glogging  # noqa: E402

from app.errors import PlutoError, SettingsError  # noqa: E402
from app.logging import JsonFormatter, configure_logging  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.store.database import DataDirLock  # noqa: E402

EXIT_MISCONFIGURED = 2
EXIT_LOCKED = 3

try:
    settings = Settings.from_environ(os.environ)
except SettingsError as error:
    print(f"pluto: {error}", file=sys.stderr)
    sys.exit(EXIT_MISCONFIGURED)

configure_logging(settings.log_level)

wsgi_app = "wsgi:app"
# TCP, never a unix socket: gevent-websocket keys its clients by peer address, which a unix socket does not have.
bind = f"{settings.bind}:{settings.port}"
worker_class = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
workers = 1
worker_connections = 2000
graceful_timeout = 4
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112
loglevel = "warning"
accesslog = None
_stopping = []


class JsonLogger(glogging.Logger):
    """gunicorn's own lines, as JSON like all others."""

    def setup(self, cfg):
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


logger_class = JsonLogger


def on_starting(server):
    """The master holds the data directory, so that a HUP, which replaces the worker, does not let go of it. Neither
    must the HUP's second reading of this file: the lock hangs on the server, not on a name in here."""
    server.data_dir_lock = DataDirLock(settings.data_dir)
    try:
        server.data_dir_lock.acquire()
    except PlutoError as error:
        print(f"pluto: {error}", file=sys.stderr)
        sys.exit(EXIT_LOCKED)
    except OSError as error:
        print(f"pluto: DATA_DIR={settings.data_dir} cannot be used: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)


def post_worker_init(worker):
    runtime = worker.wsgi.extensions["pluto"]
    runtime.start()
    _stopping.append(gevent.spawn(_stop_with, worker, runtime))


def worker_exit(server, worker):
    """Without an open connection, on Ctrl-C, or when the master was killed, the worker leaves before that greenlet has
    looked: not before all is on disk."""
    worker.alive = False
    gevent.joinall(_stopping)


def _stop_with(worker, runtime):
    """gunicorn waits out its graceful timeout for websockets that nobody ends, then kills the worker before its exit
    hook: so end all here."""
    while worker.alive:
        gevent.sleep(0.2)
    runtime.stop()
    os._exit(0)
