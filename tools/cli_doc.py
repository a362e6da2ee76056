"""Writes the real output of each command into docs/cli.md: `python -m tools.cli_doc`, while `make demo` runs.

A block of the document that begins with `$ pluto ..` gets the output of that command, against PLUTO_URL. The table of
exit codes comes from the code. The commands change simulated miners, so use it on the demo only.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from app.cli.exit_codes import MEANINGS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "cli.md"
CODES_HEADER = "| exit code | meaning |\n|---|---|\n"
FOLLOW_SECONDS = 4.0
MOST_LINES = 30
MOST_CHARACTERS = 160
_BLOCK = re.compile(r"```console\n\$ pluto (?P<arguments>.*)\n(?:(?!```).*\n)*```", re.MULTILINE)
_CODES = re.compile(re.escape(CODES_HEADER) + r"(?:\|.*\n)*")


def run_command(arguments: str) -> str:
    """Return the output of a command as a terminal shows it. One that follows is interrupted after a few seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *shlex.split(arguments)],
        cwd=ROOT, env={**os.environ, "COLUMNS": "120"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    is_following = {"-f", "--follow"} & set(arguments.split()) and "jobs" not in arguments
    try:
        output, _ = process.communicate(timeout=FOLLOW_SECONDS if is_following else 300)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    code = f"(exit code {process.returncode})\n" if process.returncode else ""
    return shorten_output(output) + code


def shorten_output(output: str) -> str:
    """Return at most MOST_LINES lines of at most MOST_CHARACTERS, without spaces at their ends."""
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    lines = [line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…" for line in lines]
    shown = [*lines[:MOST_LINES], "..."] if len(lines) > MOST_LINES + 1 else lines
    return "".join(f"{line}\n" for line in shown)


def format_codes() -> str:
    return CODES_HEADER + "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())


def update_document(document: str) -> str:
    """Return the document with the output of each of its commands, in their order."""
    document = _CODES.sub(lambda _: format_codes(), document)
    return _BLOCK.sub(
        lambda block: f"```console\n$ pluto {block['arguments']}\n{run_command(block['arguments'])}```", document
    )


if __name__ == "__main__":
    DOCUMENT.write_text(update_document(DOCUMENT.read_text()))
