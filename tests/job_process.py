"""Run the service in a process that a test kills: `job_process.py {"settings": .., "devices": [[mac, ip]], ..}`.

It starts the `job` unless its store has one, prints `running`, and prints the job when it is over.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  (nothing may be imported before the patch)
import sys  # noqa: E402
from ipaddress import IPv4Network  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from testbed import Service  # noqa: E402

from app.settings import Settings  # noqa: E402


def main(arguments: dict) -> None:
    settings = arguments["settings"]
    networks = {
        "allowed_device_networks": (IPv4Network("127.0.0.0/8"),),
        "discovery_subnets": (IPv4Network("127.80.0.0/27"),),
    }
    paths = {name: Path(settings.pop(name)) for name in ("data_dir", "neighbour_table")}
    service = Service(Settings(**settings, **paths, **networks, mdns=False)).start()
    jobs = service.runtime.jobs
    if not jobs.all_jobs():
        devices = [{"mac": mac, "ip": ip} for mac, ip in arguments["devices"]]
        service.read_data(service.client.put("/devices/imprint", json={"devices": devices}))
        service.wait_for_status("online", *(mac for mac, _ in arguments["devices"]))
        assert service.client.post("/jobs", json=arguments["job"]).status_code == 202
    print("running", flush=True)
    (job,) = jobs.all_jobs()
    while not job.is_over:
        gevent.sleep(0.02)
    print(json.dumps(service.read_data(service.client.get(f"/jobs/{job.id}"))), flush=True)
    service.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
