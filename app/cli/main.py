"""The command group, its global options, and the table of its commands."""

from __future__ import annotations

import importlib
from typing import Any

import click

from app.cli.api_client import ApiClient
from app.settings import parse_token, parse_url
from app.version import VERSION

DEFAULT_URL = "http://127.0.0.1:3000"

# Command → the module that has it. A module is imported when its command is used.
COMMANDS = {
    "devices": "fleet_commands",
    "discover": "discovery_commands",
    "register": "discovery_commands",
    "show": "fleet_commands",
    "set": "change_commands",
    "restart": "change_commands",
    "apply": "change_commands",
    "jobs": "job_commands",
    "watch": "watch_command",
    "history": "history_command",
    "logs": "follow_commands",
    "events": "follow_commands",
    "backup": "backup_command",
    "doctor": "doctor_command",
}


class CommandTable(click.Group):
    """Imports the module of a command on its first use, so that each command starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"app.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


class EnvironmentOption(click.Option):
    """A value that is only read from the environment: on a command line, other users of the machine could see it."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        pass


class ServiceUrl(click.ParamType[str]):
    """A base URL without user and password."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if "@" in value:
            self.fail("a URL without user and password is needed; a token belongs in PLUTO_TOKEN", param, ctx)
        try:
            return parse_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=CommandTable, epilog="PLUTO_TOKEN: the token, if the service needs one. See docs/cli.md.")
@click.option(
    "--url", envvar="PLUTO_URL", type=ServiceUrl(), default=DEFAULT_URL, show_default=True, show_envvar=True,
    help="URL of the service.",
)  # fmt: skip
@click.option("--token", envvar="PLUTO_TOKEN", cls=EnvironmentOption, hidden=True)
@click.version_option(VERSION, prog_name="pluto")
@click.pass_context
def cli(ctx: click.Context, url: str, token: str | None) -> None:
    """Show and control the miners of a running Pluto service."""
    try:
        ctx.obj = ApiClient(url, parse_token(token.strip()) if token else None)
    except ValueError as error:
        raise click.UsageError(f"PLUTO_TOKEN cannot be used: {error}.") from None
