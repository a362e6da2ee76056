"""The service in a process of its own, asked one thing after the other. Among its writes, in the file ACKS, stands
`["will", [method, path]]` before each request, and `["did", ..]` when it was answered."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  (nothing may be imported before the patch)
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path[:0] = [str(Path(__file__).parent.parent.parent), str(Path(__file__).parent.parent)]

from fakes import eventually  # noqa: E402
from testbed import LOOPBACK, Service  # noqa: E402

from app.settings import Settings  # noqa: E402

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
# {uuid} is that of the preset.
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


def running(service: Service) -> bool:
    return any(job["state"] in ("planned", "running") for job in service.ok(service.client.get("/jobs")))


def main() -> None:
    acks = os.open(os.environ["ACKS"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    nowhere = {"allowed_device_networks": LOOPBACK, "discovery_subnets": LOOPBACK, "discovery_ports": (9,)}
    service = Service(Settings(data_dir=Path(sys.stdin.read()), mdns=False, auto_listen=False, **nowhere)).start()
    uuid = ""
    for method, path, body in REQUESTS:
        asked, sent = path.replace("{uuid}", uuid), json.loads(json.dumps(body).replace("{uuid}", uuid))
        os.write(acks, json.dumps(["will", [method, path]]).encode())
        answer = getattr(service.client, method)(asked, json=sent)
        os.write(acks, json.dumps(["did", [method, path]]).encode())
        assert answer.status_code in (200, 202), answer.get_data()
        uuid = answer.get_json()["data"].get("uuid", uuid) if path == "/presets" else uuid
        eventually(lambda: not running(service), 30)  # a job writes beside the next request
    os._exit(0)


if __name__ == "__main__":
    main()
