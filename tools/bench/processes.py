"""The processes of a run: each ends with the run, however that ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LOG_TAIL = 12
STOP_SECONDS = 30.0


class BenchFailed(Exception):
    """Says what did not work, in words for the user."""


def say(text: str) -> None:
    """What goes on, beside the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Part:
    """One process, with its stderr in a log. Its stdin and stdout are for `ask`, where it answers."""

    def __init__(self, name: str, arguments: list[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches only us, and we stop the parts in order.
            self.process = subprocess.Popen(
                arguments, cwd=ROOT, env=own_environment() | dict(environ or {}), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raises BenchFailed when it has ended."""
        if self.process.poll() is not None:
            tail = "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
            raise BenchFailed(f"the {self.name} ended with status {self.process.returncode}; its last words:\n{tail}")

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout  # noqa: S101
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(STOP_SECONDS)
            self.check()
        return line

    def ask(self, command: str) -> Any:
        """Its answer to one line, parsed."""
        assert self.process.stdin  # noqa: S101
        self.check()
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def give(self, text: str) -> None:
        """All of its stdin."""
        assert self.process.stdin  # noqa: S101
        self.process.stdin.write(text)
        self.process.stdin.close()

    def stop(self) -> float:
        """SIGTERM; the seconds until it had ended. Idempotent."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        return time.monotonic() - began


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def own_environment() -> dict[str, str]:
    """Nothing of the caller's that could be a setting of the service."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def wait_for(what: str, until: Callable[[], bool], seconds: float, parts: list[Part]) -> float:
    """The seconds that it took to come true. Raises BenchFailed when it does not, or a part ends meanwhile."""
    began = time.monotonic()
    while not until():
        for part in parts:
            part.check()
        if time.monotonic() - began > seconds:
            raise BenchFailed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def allow_files() -> None:
    """As many open files as we may, for us and for what we start: a miner is a socket."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
