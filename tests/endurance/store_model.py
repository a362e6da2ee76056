"""Random acts on a store, and a simple model of the content that it must have afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

MACS = [f"02:00:5e:00:00:{number:02x}" for number in range(8)]
UUIDS = [f"preset-{number}" for number in range(4)]
NOTES = [f"note-{number}" for number in range(6)]

Act = list[Any]


@dataclass
class Model:
    """`devices`: name by MAC, in order of registration. `uses`: preset uuid by MAC. `presets`: name by uuid, in order
    of creation. `notes`: any other documents."""

    devices: dict[str, str] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)
    presets: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def apply_act(self, act: Act) -> None:
        kind, *about = act
        getattr(self, f"_{kind}")(*about)

    def copy_after(self, act: Act) -> Model:
        model = deepcopy(self)
        model.apply_act(act)
        return model

    def list_state(self) -> dict[str, Any]:
        """Return the state as the child prints it, with dictionaries as pairs because their order counts."""
        return {name: [list(pair) for pair in each.items()] for name, each in asdict(self).items()}

    def _imprint(self, mac: str, name: str) -> None:
        self.devices[mac] = name

    def _use(self, mac: str, uuid: str) -> None:
        self.uses[mac] = uuid
        self.uses = {mac: self.uses[mac] for mac in self.devices if mac in self.uses}

    def _delete(self, mac: str) -> None:
        del self.devices[mac]
        self.uses.pop(mac, None)

    def _preset(self, uuid: str, name: str) -> None:
        self.presets[uuid] = name

    def _drop(self, uuid: str) -> None:
        del self.presets[uuid]
        self.uses = {mac: used for mac, used in self.uses.items() if used != uuid}

    def _note(self, puts: dict[str, str], deleted: list[str]) -> None:
        self.notes |= puts
        self.notes = {key: self.notes[key] for key in sorted(self.notes) if key not in deleted}

    def _telemetry(self, seed: int, size: int) -> None:
        """Telemetry may be lost, so the model ignores it."""


def generate_acts(model: Model, random: Random, telemetry: int) -> Iterator[Act]:
    """Yield random acts of a user without end; the caller applies each to `model`.

    `telemetry`: the maximum size of a device's readings in bytes.
    """
    for number in range(10**9):
        name = f"{number}-{random.getrandbits(32):x}"
        mac, uuid = random.choice(MACS), random.choice(UUIDS)
        candidates = [["imprint", mac, name], ["preset", uuid, name], _make_note_act(random, name)]
        candidates += [["delete", mac]] * (mac in model.devices) + [["drop", uuid]] * (uuid in model.presets)
        candidates += [["use", mac, uuid]] * (mac in model.devices and uuid in model.presets)
        candidates += [["telemetry", number, random.randrange(telemetry)]] * bool(model.devices)
        yield random.choice(candidates)


def _make_note_act(random: Random, name: str) -> Act:
    puts = dict.fromkeys(random.sample(NOTES, random.randrange(1, 4)), name)
    return ["note", puts, [key for key in random.sample(NOTES, 2) if key not in puts]]
