"""A host without any network: no address has a route, and the miner goes offline like any other."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
SCRIPT = """
from gevent import monkey

monkey.patch_all()

import json, logging, sys
from ipaddress import IPv4Network
from pathlib import Path

from fakes import FakeClock
from testbed import Service

from app.models import Device
from app.settings import Settings

records = []
handler = logging.Handler()
handler.emit = lambda record: records.append([record.levelname, record.getMessage()])
logging.basicConfig(level="INFO", handlers=[handler], force=True)
networks = (IPv4Network("10.0.0.0/8"),)
settings = Settings(data_dir=Path(sys.argv[1]), poll_interval=5.0, allowed_device_networks=networks,
                    discovery_subnets=(), neighbour_table=Path(sys.argv[1]) / "arp", mdns=False)
service = Service(settings, FakeClock()).start()
runtime = service.runtime
runtime.monitoring.start_monitoring(runtime.fleet.save_devices([Device("02:00:5e:00:00:77", "10.77.0.1")]))
states = []
for _ in range(5):
    service.run_polls()
    states.append(service.get_status("02:00:5e:00:00:77"))
device = service.get_device("02:00:5e:00:00:77")
print(json.dumps({"states": states, "error": device["error"], "log": records,
                  "up": service.scrape_metrics().get_device_values(device["mac"])}))
service.stop()
"""


def test_miner_without_a_route_goes_offline(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    command = ["unshare", "--net", sys.executable, "-c", SCRIPT, str(tmp_path)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=TESTS.parent)
    assert completed.returncode == 0, completed.stderr
    result = json.loads(completed.stdout.splitlines()[-1])
    assert result["states"][-1] == "offline"
    assert result["states"].count("offline") >= 3
    assert "unreachable" in result["error"]
    assert result["up"] == {"up": 0}
    assert result["log"].count(["WARNING", "miner lost"]) == 1
