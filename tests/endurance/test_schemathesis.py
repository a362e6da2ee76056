"""Our own OpenAPI document, taken at its word: schemathesis makes requests from it, well-formed and not, against the
real service over simulated miners, and holds every answer against it. What is left out, and why, is in fuzz/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from processes import ServiceProcess, SimulatorProcess
from soak import times

FUZZ = Path(__file__).parent / "fuzz"
EXAMPLES = times(25)
SEED = os.environ.get("FUZZ_SEED", "1")
CHECKS_OFF = ("not_a_server_error", "ignored_auth", "object_level_authorization")


def fuzz(service: ServiceProcess, macs: list[str], folder: Path) -> tuple[int, str]:
    """The exit status and what it said."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(FUZZ / "schemathesis.toml")]
    command += ["run", f"{service.url}/openapi.json", "--checks=all", f"--exclude-checks={','.join(CHECKS_OFF)}"]
    command += [f"--seed={SEED}", f"--max-examples={EXAMPLES}", "--phases=examples,coverage,fuzzing,stateful"]
    # One worker: Python 3.11 cannot parse in two threads at once (`AST constructor recursion depth mismatch`).
    command += ["--workers=1", "--continue-on-failure", "--suppress-health-check=all", "--request-timeout=20"]
    hooks = {"PYTHONPATH": str(FUZZ), "SCHEMATHESIS_HOOKS": "hooks", "FUZZ_MACS": ",".join(macs)}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1", **hooks}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_service_does_as_its_document_says(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, tmp_path: Path
) -> None:
    service = start_service(PERSIST_INTERVAL=1)
    devices = [{"mac": miner["mac"], "ip": miner["address"]} for miner in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online()
    status, said = fuzz(service, [device["mac"] for device in devices], tmp_path)
    assert status == 0, said
    [cases] = re.findall(r"(\d+) generated", said)
    assert int(cases) > 500, said
    assert service.is_ready()
    assert service.stop() == 0
    assert "Traceback" not in service.read_output()
    print(f"{cases} requests made from the document, no 5xx but those of the table")
