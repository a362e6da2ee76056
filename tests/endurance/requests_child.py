"""Run the service in a separate process and send it one request after the other.

Before each request it writes `["will", [method, path]]` to the file ACKS, after the answer `["did", ..]`; so the trace
of its writes shows the order.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  (nothing may be imported before the patch)
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path[:0] = [str(Path(__file__).parent.parent.parent), str(Path(__file__).parent.parent)]

from fakes import wait_until  # noqa: E402
from testbed import LOOPBACK, Service  # noqa: E402

from app.settings import Settings  # noqa: E402

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
# {uuid} stands for the uuid of the preset.
REQUESTS = (
    (
        "put",
        "/devices/imprint",
        {"devices": [{"mac": MAC, "ip": "127.80.0.1:9"}, {"mac": OTHER, "ip": "127.80.0.2:9"}]},
    ),
    ("patch", f"/devices/imprint/{MAC}", {"device": {"name": "Attic", "tags": ["a"]}}),
    ("post", "/presets", {"name": "Ocean", "configuration": {"frequency": 490}}),
    ("patch", f"/devices/imprint/{MAC}", {"device": {"presetUuid": "{uuid}"}}),
    ("put", "/presets/{uuid}", {"name": "Sea", "configuration": {"frequency": 500}}),
    ("patch", "/presets/{uuid}", {"name": "Lake"}),
    ("post", "/jobs", {"action": "restart", "devices": [MAC]}),
    ("delete", "/presets/{uuid}", None),
    ("delete", f"/devices/imprint/{MAC}", None),
)


def is_job_running(service: Service) -> bool:
    return any(job["state"] in ("planned", "running") for job in service.read_data(service.client.get("/jobs")))


def main() -> None:
    acks = os.open(os.environ["ACKS"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    networks = {"allowed_device_networks": LOOPBACK, "discovery_subnets": LOOPBACK, "discovery_ports": (9,)}
    service = Service(Settings(data_dir=Path(sys.stdin.read()), mdns=False, auto_listen=False, **networks)).start()
    uuid = ""
    for method, path, body in REQUESTS:
        actual_path, actual_body = path.replace("{uuid}", uuid), json.loads(json.dumps(body).replace("{uuid}", uuid))
        os.write(acks, json.dumps(["will", [method, path]]).encode())
        answer = getattr(service.client, method)(actual_path, json=actual_body)
        os.write(acks, json.dumps(["did", [method, path]]).encode())
        assert answer.status_code in (200, 202), answer.get_data()
        uuid = answer.get_json()["data"].get("uuid", uuid) if path == "/presets" else uuid
        wait_until(lambda: not is_job_running(service), 30)  # a job writes beside the next request
    os._exit(0)


if __name__ == "__main__":
    main()
