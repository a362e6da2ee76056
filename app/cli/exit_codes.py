"""The exit codes of the command line, and the error that ends a command with one of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import click

from app.cli.formatting import clean_text


class ExitCode(IntEnum):
    """click itself ends with USAGE for a wrong option or argument."""

    OK = 0
    FAILED_IN_PART = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    AUTHENTICATION = 5
    REFUSED = 6
    MINER_FAILED = 7
    SERVICE_FAILED = 8


MEANINGS = {
    ExitCode.OK: "Done",
    ExitCode.FAILED_IN_PART: "The operation failed in part, or `doctor` found an error",
    ExitCode.USAGE: "A wrong command, option or argument, or `--yes` is missing where there is no terminal",
    ExitCode.NOT_FOUND: "No such device, preset, job or metric, or several devices match a name",
    ExitCode.UNREACHABLE: "The service cannot be reached, or another server answers",
    ExitCode.AUTHENTICATION: "The service needs a token, or the token does not allow this",
    ExitCode.REFUSED: "The service refused: an invalid value, a conflict, a rate limit; or you did not confirm",
    ExitCode.MINER_FAILED: "The miner (or the discovery service) did not answer, failed, or asks for a login",
    ExitCode.SERVICE_FAILED: "The service failed; see its log",
}


class CommandFailed(click.ClickException):
    """Ends the command with one sentence on stderr and an exit code."""

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = int(code)  # type: ignore[misc]  # click declares a class variable and sets it likewise

    def show(self, file: Any = None) -> None:
        lines = [clean_text(line) for line in self.message.splitlines()]
        click.echo("\n".join(["pluto: " + lines[0], *lines[1:]] if lines else "pluto: failed"), err=True)
