"""Child processes of the demo and the benchmark: start them, watch them, stop them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from app.settings import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-m")
LOG_TAIL_LINES = 12
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessFailed(Exception):
    """A process ended early or did not do its work; the message is for the user."""


def drop_service_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the user's own settings of the service, so that a tool's service is the same
    everywhere. LOG_LEVEL is kept."""
    settings = VARIABLES.keys() - {"LOG_LEVEL"}
    return {name: value for name, value in environ.items() if name not in settings}


class ManagedProcess:
    """A child process whose stderr goes to `folder/name.log`; as a context manager it stops the process at the end.

    With `piped`, stdin and stdout are for `send_command`, `send_input` and `read_line`; else the log has stdout, too.
    """

    def __init__(
        self, name: str, arguments: Iterable[str], folder: Path, environ: Mapping[str, str] | None = None, *,
        piped: bool = True, stop_timeout: float = 30.0,
    ) -> None:  # fmt: skip
        self.name = name
        self.log = folder / f"{name}.log"
        self._stop_timeout = stop_timeout
        pipe = subprocess.PIPE if piped else None
        with self.log.open("wb") as log:
            # Its own session keeps Ctrl-C from the child: this process stops its children in order.
            self._popen = subprocess.Popen(
                list(arguments), cwd=ROOT, env=environ, start_new_session=True, text=True,
                stdin=pipe or subprocess.DEVNULL, stdout=pipe or log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> ManagedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def check_running(self) -> None:
        """Raise ProcessFailed if the process has ended."""
        if self._popen.poll() is not None:
            raise ProcessFailed(f"the {self.name} ended with status {self._popen.returncode}; {self.describe_log()}")

    def describe_log(self) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n    ".join(["end of its log:", *tail])

    def read_line(self) -> str:
        """Return the next line of stdout."""
        assert self._popen.stdout  # noqa: S101
        line = self._popen.stdout.readline()
        if not line:
            self._popen.wait(self._stop_timeout)
            self.check_running()
        return line

    def send_command(self, command: str) -> Any:
        """Write one line to stdin and return the answer, one line of JSON."""
        assert self._popen.stdin  # noqa: S101
        self.check_running()
        self._popen.stdin.write(f"{command}\n")
        self._popen.stdin.flush()
        return json.loads(self.read_line())

    def send_input(self, text: str) -> None:
        """Write the whole of stdin and close it."""
        assert self._popen.stdin  # noqa: S101
        self._popen.stdin.write(text)
        self._popen.stdin.close()

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the process has done its work. Raises ProcessFailed if it fails or takes longer."""
        try:
            if self._popen.wait(seconds) == 0:
                return
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"the {self.name} took longer than {seconds:.0f} s; {self.describe_log()}") from None
        self.check_running()

    def stop(self) -> float:
        """Send SIGTERM, then SIGKILL to the rest of its group, and return the seconds that it took. Idempotent."""
        started = time.monotonic()
        self._popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(self._stop_timeout)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # The worker of a gunicorn master that was killed outlives it.
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe:
                pipe.close()
        return time.monotonic() - started


def wait_until(condition: Callable[[], bool], seconds: float, processes: Iterable[ManagedProcess]) -> bool:
    """Return False if the condition is not true in time. Raises ProcessFailed if one of `processes` ends meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        for process in processes:
            process.check_running()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_or_fail(event: str, condition: Callable[[], bool], seconds: float, process: ManagedProcess) -> float:
    """Return the seconds until the condition was true. Raises ProcessFailed if it is not true in time."""
    started = time.monotonic()
    if not wait_until(condition, seconds, [process]):
        raise ProcessFailed(
            f"timeout after {seconds:.0f} s: no {event} of the {process.name}; {process.describe_log()}"
        )
    return time.monotonic() - started


def find_free_port(candidates: Iterable[int] = (0,)) -> int | None:
    """Return the first port of loopback that can be bound, None if there is none; 0 lets the kernel choose."""
    for port in candidates:
        with socket.socket() as probe:
            # gunicorn binds with this option, too: closed connections of a previous run do not occupy the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    return None


def install_stop_signals() -> None:
    """Make the first SIGINT, SIGTERM or SIGHUP raise KeyboardInterrupt and ignore the rest.

    A second Ctrl-C must not interrupt the cleanup and leave processes behind.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _raise_interrupt)


def _raise_interrupt(signum: int, frame: object) -> NoReturn:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
