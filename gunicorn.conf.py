"""The gunicorn configuration: one gevent worker. Socket.IO needs all clients in one process, LevelDB one owner.

The master and each worker read this file, so its imports are in both processes: no gevent, and of the service only the
settings, the log format and the lock. app/worker.py imports the rest, in the worker.
"""

import gc
import os
import resource
import socket
import sys
import time
from contextlib import suppress

from gunicorn import glogging

from app.errors import PlutoError, SettingsError, StoreError, StoreLocked
from app.logging import JsonFormatter, configure_logging
from app.settings import Settings
from app.store.lock import DataDirLock

EXIT_MISCONFIGURED = 2
EXIT_LOCKED = 3
EXIT_STORE = 4

try:
    settings = Settings.from_environ(os.environ)
except SettingsError as error:
    print(f"pluto: {error}", file=sys.stderr)
    sys.exit(EXIT_MISCONFIGURED)

configure_logging(settings.log_level)

wsgi_app = "wsgi:app"
# TCP, never a unix socket: gevent-websocket keys its clients by peer address, which a unix socket does not have.
bind = f"[{settings.bind}]:{settings.port}" if ":" in settings.bind else f"{settings.bind}:{settings.port}"
# gunicorn's request limits and forwarded_allow_ips do not apply to this worker: app/security/ has limits of its own.
worker_class = "app.worker.Worker"
forwarded_allow_ips = ""
workers = 1
# 2,000 Socket.IO clients, and slots for requests.
worker_connections = 2400
# 5,000 miners with kept-open connections need more than the usual soft limit of 1,024 files.
FILES = 16384
graceful_timeout = 4
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112
loglevel = "warning"
accesslog = None
_stopping = []


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft != resource.RLIM_INFINITY and soft < FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))


# gunicorn's messages after a worker that failed at startup: duplicates, the worker has logged the reason.
DUPLICATE_MESSAGES = ("Shutting down: %s", "Reason: %s")


class JsonLogger(glogging.Logger):
    """Writes gunicorn's log lines as JSON, without duplicates of startup errors."""

    def error(self, msg, *args, **kwargs):
        exited = msg.startswith("Worker (pid:%s) exited") and args[1] in (EXIT_LOCKED, EXIT_STORE)
        if msg not in DUPLICATE_MESSAGES and not exited:
            super().error(msg, *args, **kwargs)

    def setup(self, cfg):
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


logger_class = JsonLogger


def on_starting(server):
    """Lock the data directory in the master, so that the lock outlives a HUP, which replaces the worker. HUP also reads
    this file again, so the lock is an attribute of the server, not a global."""
    server.data_dir_lock = DataDirLock(settings.data_dir)
    try:
        server.data_dir_lock.acquire()
    except PlutoError as error:
        print(f"pluto: {error}", file=sys.stderr)
        sys.exit(EXIT_LOCKED)
    except OSError as error:
        print(f"pluto: DATA_DIR={settings.data_dir} cannot be used: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)
    try:
        _try_to_bind()
    except OSError as error:
        where = f"BIND={settings.bind} PORT={settings.port}"
        print(f"pluto: {where} cannot be used: {error.strerror.lower()}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)


def _try_to_bind():
    """Raise OSError if the address cannot be bound. gunicorn would retry for 5 s, log eleven lines, and exit with
    status 1."""
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.bind, settings.port))


def post_worker_init(worker):
    import gevent

    configure_logging(settings.log_level)  # again, now with gevent, to log exceptions of greenlets
    runtime = worker.wsgi.extensions["pluto"]
    heartbeat = gevent.spawn(_send_heartbeats, worker)
    try:
        runtime.start()
    except StoreLocked as error:
        print(f"pluto: {error}", file=sys.stderr)
        sys.exit(EXIT_LOCKED)
    except StoreError as error:
        where = "" if error.path in str(error) else f"{error.path}: "
        print(f"pluto: {where}{error}", file=sys.stderr)
        sys.exit(EXIT_STORE)
    finally:
        heartbeat.kill()
    _tune_garbage_collector()
    _stopping.append(gevent.spawn(_stop_with_worker, worker, runtime))


def _tune_garbage_collector():
    """Exclude the objects that exist now from garbage collection, and collect less often. Full collections blocked the
    loop for 40 ms with 1,000 miners (225 ms at startup) and found almost no cycles."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _send_heartbeats(worker):
    """Notify the master during startup: a store repair may take longer than gunicorn's worker timeout."""
    while True:
        worker.tmp.notify()
        time.sleep(1)  # gevent's, as it is patched in the worker


def worker_exit(server, worker):
    """Wait until the runtime has stopped and all data is on disk.

    Without an open connection, on Ctrl-C, or after the master was killed, the worker exits before `_stop_with_worker`
    has noticed. On Ctrl-C both the terminal and the master send a signal; the second interrupts the wait, which is
    repeated.
    """
    worker.alive = False
    while not all(each.ready() for each in _stopping):
        with suppress(SystemExit):
            for each in _stopping:
                each.join()


def _stop_with_worker(worker, runtime):
    """Stop the runtime and exit when gunicorn stops the worker. gunicorn would wait its graceful timeout for open
    websockets, then kill the worker before its exit hook."""
    while worker.alive:
        time.sleep(0.1)
    runtime.stop()
    os._exit(0)
