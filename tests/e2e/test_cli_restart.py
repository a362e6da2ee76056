"""The command line across a restart of the service."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from cli_helpers import CommandLine
from processes import SimulatorProcess


def test_watch_and_events_continue_after_a_restart_of_the_service(start_service: Any, miners: SimulatorProcess) -> None:
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    macs = service.imprint_all_miners()
    service.wait_until_online()
    cli = CommandLine(service.url)
    with cli.follow("events", "-f", "--json") as events, cli.follow("watch", "--json") as watch:
        assert json.loads(events.stdout.readline())["kind"] == "service_started"
        assert len(read_devices(watch)) == len(macs)
        service.stop()
        assert "reconnecting" in events.stderr.readline()
        start_service(**service.settings)
        kinds = [json.loads(events.stdout.readline())["kind"] for _ in range(2)]
        assert kinds == ["service_stopped", "service_started"]
        while len(read_devices(watch)) != len(macs):
            pass


def read_devices(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout
    return list(json.loads(process.stdout.readline())["devices"])
