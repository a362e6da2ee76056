"""How the service runs: one gevent websocket worker. Socket.IO needs all clients in one process, LevelDB one owner.

The master reads this file, and each worker. What is imported at the top is in both processes, so no gevent and nothing
of the service but its settings, log format and lock: app/worker.py imports the rest, in the worker.
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
# gunicorn's limits on requests and its forwarded_allow_ips do not apply to it: app/security/ has ours.
worker_class = "app.worker.Worker"
forwarded_allow_ips = ""
workers = 1
# 2,000 sockets, and room for requests.
worker_connections = 2400
# With 5,000 miners kept open that is more than the 1,024 files which many systems give at first.
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


# What the master makes of a worker that could not start, which has said why.
ECHOES = ("Shutting down: %s", "Reason: %s")


class JsonLogger(glogging.Logger):
    """gunicorn's own lines, as JSON like all others."""

    def error(self, msg, *args, **kwargs):
        exited = msg.startswith("Worker (pid:%s) exited") and args[1] in (EXIT_LOCKED, EXIT_STORE)
        if msg not in ECHOES and not exited:
            super().error(msg, *args, **kwargs)

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
    try:
        _try_to_bind()
    except OSError as error:
        where = f"BIND={settings.bind} PORT={settings.port}"
        print(f"pluto: {where} cannot be used: {error.strerror.lower()}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)


def _try_to_bind():
    """gunicorn itself would try for five seconds, say so in eleven lines, and leave with status 1."""
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.bind, settings.port))


def post_worker_init(worker):
    import gevent

    configure_logging(settings.log_level)  # again: the master's does not see the greenlets
    runtime = worker.wsgi.extensions["pluto"]
    beat = gevent.spawn(_beat, worker)
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
        beat.kill()
    _spare_the_collector()
    _stopping.append(gevent.spawn(_stop_with, worker, runtime))


def _spare_the_collector():
    """What is there by now stays, and a miner's answer is freed when the next one comes: to look through all of it for
    cycles stopped the loop for 40 ms with 1,000 miners, 225 at the start, and found next to none."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _beat(worker):
    """A store that has to be repaired first may take longer than the master waits for a sign of life."""
    while True:
        worker.tmp.notify()
        time.sleep(1)  # gevent's, as it is patched in the worker


def worker_exit(server, worker):
    """Without an open connection, on Ctrl-C, or when the master was killed, the worker leaves before that greenlet has
    looked: not before all is on disk. A terminal and the master signal both: the second breaks
    off the wait, which then begins again."""
    worker.alive = False
    while not all(each.ready() for each in _stopping):
        with suppress(SystemExit):
            for each in _stopping:
                each.join()


def _stop_with(worker, runtime):
    """gunicorn waits out its graceful timeout for websockets that nobody ends, then kills the worker before its exit
    hook: so end all here."""
    while worker.alive:
        time.sleep(0.1)
    runtime.stop()
    os._exit(0)
