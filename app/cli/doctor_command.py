"""`doctor`: check a setup, and explain each finding with an action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
from rich.text import Text

from app.cli.api_client import ApiClient
from app.cli.command_options import DEVICE, api_command
from app.cli.device_rows import Row, choose_one, fetch_rows, sort_by_urgency
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.findings import Finding, FindingMaker, Place, Severity
from app.cli.formatting import clean_text
from app.cli.host_checks import check_host
from app.cli.miner_checks import check_miner
from app.cli.output import Output
from app.cli.server_checks import check_servers
from app.cli.service_checks import check_service
from app.errors import SettingsError
from app.settings import Settings

_HEADS = {
    Place.SERVICE: "Asked of the service",
    Place.LOCAL: "Checked on this machine, with the settings of this shell's environment",
}
_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "red", Severity.SKIPPED: "dim"}


@click.command("doctor")
@click.option("--miner", type=DEVICE, help="The miner whose path is checked. Default: the one with the worst problem.")
@api_command
def doctor_command(api: ApiClient, out: Output, miner: str | None) -> None:
    """Check the setup and explain findings.

    The exit code is 1 if an error was found.

    Some checks are requests to the service; the others run on this machine, with the settings (DATA_DIR, PORT, ..) of
    this shell's environment. Run it where the service runs, with the service's environment: in its container.
    """
    with out.create_progress() as progress:
        task = progress.add_task("Checking", total=None)
        findings = []
        for finding in run_checks(api, miner):
            findings.append(finding)
            progress.update(task, completed=len(findings), description=f"Checking {finding.check}")
    errors = sum(each.severity is Severity.ERROR for each in findings)
    if out.as_json:
        out.print_json({"errors": errors, "findings": [each.to_json() for each in findings]})
    else:
        _print_findings(out, findings)
    if errors:
        raise CommandFailed(ExitCode.FAILED_IN_PART, f"{errors} error{'s' if errors > 1 else ''} found")


def run_checks(api: ApiClient, miner: str | None) -> Iterator[Finding]:
    found = list(check_service(api))
    yield from found
    is_running = found[0].severity is not Severity.ERROR
    rows = _fetch_known_rows(api) if is_running else []
    make = FindingMaker("settings", Place.LOCAL)
    try:
        settings = Settings.from_environ()
    except SettingsError as error:
        yield make.error(str(error), "Correct the variable (docs/settings.md); the service does not start with it.")
        settings = Settings()
    else:
        yield make.ok("The settings in this shell's environment are valid")
    yield from check_host(settings, is_running)
    yield from check_servers(settings)
    if rows:
        row = choose_one(rows, miner) if miner else sort_by_urgency(rows)[0]
        yield from check_miner(row, settings.neighbour_table)
    else:
        yield FindingMaker("miner", Place.LOCAL).skipped("No device is known, so no miner's path was checked")


def _fetch_known_rows(api: ApiClient) -> list[Row]:
    try:
        return fetch_rows(api)
    except CommandFailed:
        return []  # a finding about the token says so


def _print_findings(out: Output, findings: Iterable[Finding]) -> None:
    listed = list(findings)
    for place, head in _HEADS.items():
        out.print_text(head, "bold")
        for each in listed:
            if each.place is place:
                label = Text(f"  {each.severity:<8}", _STYLES[each.severity])
                out.stdout.print(label + Text(clean_text(f"{each.check}: {each.message}")), soft_wrap=True)
                if each.action:
                    out.print_text(f"          → {clean_text(each.action)}")
        out.print_text("")
