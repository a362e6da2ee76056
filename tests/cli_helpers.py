"""Run the command line as a process of its own against a real service."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "app.cli"]
SECONDS = 60


def accept_interrupts() -> None:
    """Undo what a shell does for processes in its background, such as those of `make test`: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class CommandLine:
    """Runs commands against the service at `url`. `environ`: further variables."""

    def __init__(self, url: str, token: str | None = None, **environ: str) -> None:
        self._environ = {
            "PATH": os.environ["PATH"],
            "PLUTO_URL": url,
            "TZ": "Europe/Berlin",
            **({"PLUTO_TOKEN": token} if token else {}),
            **environ,
        }

    def run(self, *arguments: str, given: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        environ = {**self._environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*COMMAND, *arguments], cwd=cwd, env=environ, input=given, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip

    def read_text(self, *arguments: str, code: int = 0, given: str = "", cwd: Path = ROOT) -> str:
        """Return stdout. Fail for another exit code."""
        completed = self.run(*arguments, given=given, cwd=cwd)
        assert completed.returncode == code, (completed.returncode, completed.stdout, completed.stderr)
        return completed.stdout

    def read_json(self, *arguments: str, code: int = 0, given: str = "", cwd: Path = ROOT) -> Any:
        """Return the parsed stdout of a command with --json."""
        return json.loads(self.read_text(*arguments, "--json", code=code, given=given, cwd=cwd))

    def read_failure(self, *arguments: str, code: int, given: str = "") -> str:
        """Return stderr of a command that fails with this exit code, and prints nothing on stdout."""
        completed = self.run(*arguments, given=given)
        assert completed.returncode == code, (completed.returncode, completed.stdout, completed.stderr)
        assert completed.stdout == ""
        assert "Traceback" not in completed.stderr
        return completed.stderr

    @contextmanager
    def follow(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command that runs until Ctrl-C; interrupt it at the end and require exit code 0."""
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, env={**self._environ, "PYTHONUNBUFFERED": "1"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=accept_interrupts,
        )  # fmt: skip
        try:
            yield process
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
            assert process.returncode == 0, errors
        finally:
            process.kill()
            process.wait()

    def answer_question(self, answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command whose stdin is a terminal on which `answer` is typed."""
        master, terminal = pty.openpty()
        try:
            process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=ROOT, env=self._environ, text=True,
                stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            os.write(master, f"{answer}\n".encode())
            output, errors = process.communicate(timeout=SECONDS)
        finally:
            os.close(master)
            os.close(terminal)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)
