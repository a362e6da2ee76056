"""The options that all commands share, and types of their arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from app.cli.api_client import ApiClient
from app.cli.device_rows import fetch_rows
from app.cli.exit_codes import CommandFailed
from app.cli.output import Output

Function = Callable[..., Any]


def api_command(function: Function) -> Function:
    """Add `--json`, and pass the client and the output as the first arguments."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")
    @click.pass_context
    @functools.wraps(function)
    def run_command(ctx: click.Context, /, **options: Any) -> None:
        as_json = options.pop("as_json")
        function(ctx.find_object(ApiClient), Output(as_json), **options)

    return run_command


def yes_option(function: Function) -> Function:
    return click.option("--yes", "-y", is_flag=True, help="Do not ask; needed where there is no terminal.")(function)


def selection_options(function: Function) -> Function:
    """Add the options that choose several devices."""
    function = click.option("--all", "every", is_flag=True, help="All registered devices.")(function)
    return click.option("--tag", help="The devices with this tag.")(function)


class DeviceName(click.ParamType[str]):
    """The MAC, name, hostname or address of a device; the shell completes it with the titles of all devices."""

    name = "device"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        options = ctx.find_root().params  # a completion does not run the command group, which makes the client
        try:
            rows = fetch_rows(ApiClient(options["url"], options["token"]), fields="title,ip")
        except CommandFailed:
            return []
        start = incomplete.lower()
        return [
            CompletionItem(row["title"], help=row["ip"]) for row in rows if str(row["title"]).lower().startswith(start)
        ]


DEVICE = DeviceName()
