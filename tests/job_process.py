"""The real service in its own process, to be killed: `job_process.py {"settings": .., "devices": [[mac, ip]], ..}`.

Starts the `job` unless its store has one, says `running`, then says the job once it is over.
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


def main(told: dict) -> None:
    given = told["settings"]
    networks = {
        "allowed_device_networks": (IPv4Network("127.0.0.0/8"),),
        "discovery_subnets": (IPv4Network("127.80.0.0/27"),),
    }
    paths = {name: Path(given.pop(name)) for name in ("data_dir", "neighbour_table")}
    service = Service(Settings(**given, **paths, **networks, mdns=False)).start()
    jobs = service.runtime.jobs
    if not jobs.all():
        devices = [{"mac": mac, "ip": ip} for mac, ip in told["devices"]]
        service.ok(service.client.put("/devices/imprint", json={"devices": devices}))
        service.await_status("online", *(mac for mac, _ in told["devices"]))
        assert service.client.post("/jobs", json=told["job"]).status_code == 202
    print("running", flush=True)
    (job,) = jobs.all()
    while not job.over:
        gevent.sleep(0.02)
    print(json.dumps(service.ok(service.client.get(f"/jobs/{job.id}"))), flush=True)
    service.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
