"""Write to a store in a process that is killed: `store_child.py` forks a child for each request, one per line.

A request: `directory`, `seed`, `acts` (the maximum number), `telemetry` (bytes) and `delay`, the seconds after which
the child is killed, or null to let it finish. The child prints the state that it finds, `["state", ..]`, then
`["will", act]` before and `["did", act]` after each act. When it has exited, `["exited"]` is printed.

A fork takes less time than a new process. It is safe because nothing here has opened a database or started a thread.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from store_model import Act, Model, generate_acts  # noqa: E402  (in the same folder)

from app.clock import Clock  # noqa: E402
from app.models import Device  # noqa: E402
from app.store.database import Database  # noqa: E402
from app.store.devices import DeviceRepository  # noqa: E402
from app.store.documents import Documents  # noqa: E402
from app.store.presets import PresetRepository  # noqa: E402


class Store:
    """The real repositories as the service uses them: each change is written to disk, then made in memory."""

    def __init__(self, directory: Path) -> None:
        self.database = Database(directory)
        self.database.open(Clock())
        self.repository = DeviceRepository(self.database, dict)
        self.presets = PresetRepository(self.database)
        self.notes = Documents(self.database, "note")
        self.devices = {device.mac: device for device in self.repository.load_devices()}
        self.presets.load_presets()

    def read_model(self) -> Model:
        names = {mac: device.name or "" for mac, device in self.devices.items()}
        uses = {mac: device.preset_uuid for mac, device in self.devices.items() if device.preset_uuid}
        presets = {record["uuid"]: record["name"] for record in self.presets.list_presets()}
        return Model(names, uses, presets, {key: note["text"] for key, note in self.notes.list_documents()})

    def perform_act(self, act: Act) -> None:
        kind, *about = act
        getattr(self, f"_{kind}")(*about)

    def _imprint(self, mac: str, name: str) -> None:
        known = self.devices.get(mac)
        self._save_device(Device(mac, "10.0.0.1", name=name, preset_uuid=known.preset_uuid if known else None))

    def _use(self, mac: str, uuid: str) -> None:
        self._save_device(Device(mac, "10.0.0.1", name=self.devices[mac].name, preset_uuid=uuid))

    def _save_device(self, device: Device) -> None:
        self.repository.save_devices([device])
        self.devices[device.mac] = device

    def _delete(self, mac: str) -> None:
        self.repository.delete_device(mac)
        del self.devices[mac]

    def _preset(self, uuid: str, name: str) -> None:
        if not self.presets.edit_preset(uuid, lambda record: {**record, "name": name}):
            self.presets.save_preset({"uuid": uuid, "name": name})

    def _drop(self, uuid: str) -> None:
        using = [device for device in self.devices.values() if device.preset_uuid == uuid]
        changed = [Device(each.mac, each.ip, name=each.name) for each in using]
        self.presets.delete_preset(uuid, lambda puts, deletes: self.repository.save_devices(changed, puts, deletes))
        self.devices |= {each.mac: each for each in changed}

    def _note(self, puts: dict[str, str], deleted: list[str]) -> None:
        self.notes.save_documents({key: {"text": text} for key, text in puts.items()}, deleted)

    def _telemetry(self, seed: int, size: int) -> None:
        noise = Random(seed).randbytes(size // 2).hex()
        for device in self.devices.values():
            device.info["noise"] = noise
        self.repository.save_telemetry(self.devices.values())


ACKS = os.open(os.environ["ACKS"], os.O_CREAT | os.O_WRONLY | os.O_APPEND) if "ACKS" in os.environ else 1


def print_json(*words: object) -> None:
    """Print to the reader of stdout, or to the traced file ACKS, so that the trace shows the order of writes."""
    os.write(ACKS, (json.dumps(words) + "\n").encode())


def run_acts(directory: Path, seed: int, count: int, telemetry: int) -> None:
    store = Store(directory)
    model = store.read_model()
    print_json("state", model.list_state(), bool(store.database.repair))
    source = generate_acts(model, Random(seed), telemetry)
    for _ in range(count):
        act = next(source)
        print_json("will", act)
        store.perform_act(act)
        model.apply_act(act)
        print_json("did", act)
    store.database.close()


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            run_acts(Path(request["directory"]), request["seed"], request["acts"], request["telemetry"])
            os._exit(0)
        if request["delay"] is not None:
            time.sleep(request["delay"])
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print_json("exited")


if __name__ == "__main__":
    main()
