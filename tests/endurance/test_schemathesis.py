"""The service against its own OpenAPI document.

schemathesis generates valid and invalid requests from the document, sends them to the real service with simulated
miners and checks each answer. The excluded checks and the reasons are in fuzz/.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from processes import ServiceProcess, SimulatorProcess
from soak import scale_loops

FUZZ = Path(__file__).parent / "fuzz"
EXAMPLES = scale_loops(25)
SEED = os.environ.get("FUZZ_SEED", "1")
EXCLUDED_CHECKS = ("not_a_server_error", "ignored_auth", "object_level_authorization")


def run_schemathesis(service: ServiceProcess, macs: list[str], folder: Path) -> tuple[int, str]:
    """Run schemathesis and return its exit status and its output."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(FUZZ / "schemathesis.toml")]
    command += ["run", f"{service.url}/openapi.json", "--checks=all", f"--exclude-checks={','.join(EXCLUDED_CHECKS)}"]
    command += [f"--seed={SEED}", f"--max-examples={EXAMPLES}", "--phases=examples,coverage,fuzzing,stateful"]
    # One worker: Python 3.11 cannot parse in two threads at once (`AST constructor recursion depth mismatch`).
    command += ["--workers=1", "--continue-on-failure", "--suppress-health-check=all", "--request-timeout=20"]
    hooks = {"PYTHONPATH": str(FUZZ), "SCHEMATHESIS_HOOKS": "hooks", "FUZZ_MACS": ",".join(macs)}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1", **hooks}
    completed = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return completed.returncode, completed.stdout + completed.stderr


def test_answers_to_generated_requests_match_the_openapi_document(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, tmp_path: Path
) -> None:
    service = start_service(PERSIST_INTERVAL=1)
    devices = [{"mac": miner["mac"], "ip": miner["address"]} for miner in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online()
    status, output = run_schemathesis(service, [device["mac"] for device in devices], tmp_path)
    assert status == 0, output
    [cases] = re.findall(r"(\d+) generated", output)
    assert int(cases) > 500, output
    assert service.is_ready()
    assert service.stop() == 0
    assert "Traceback" not in service.read_output()
    print(f"{cases} requests made from the document, no 5xx but those of the table")
