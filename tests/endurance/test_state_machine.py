"""Acts of users, miners and crashes in random order, as a hypothesis state machine.

The service keeps each acknowledged change, its totals match the devices, and no miner gets the settings of another.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock, find_free_port
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from soak import FACTOR, scale_loops
from testbed import LOOPBACK, MINER_NETWORK, Service

from app.settings import Settings
from simulator import Fleet, MinerSpec, Timings, mac_of
from simulator.miner_fleet import swap

GENERATIONS = ("2.12", "2.10", "2.15", "2.7", "2.4")
TIMINGS = Timings(boot=0.05, before_restart=0.02, mining=0.0, queue=0.02, cooling=0.5, resume=0.1)
EXAMPLES, STEPS = scale_loops(15), 30
USER = re.compile(rb'"stratumUser":"([wp]\d+)"')
MINER_INDEXES = st.integers(0, len(GENERATIONS) - 1)
ROUND_COUNTS = st.sampled_from([0, 1, 4])
ACT_COUNTS = Counter[str]()


@dataclass
class ExpectedDevice:
    """A device as the user last changed it."""

    name: str | None = None
    preset: str | None = None


class ServiceStateMachine(RuleBasedStateMachine):
    """The service in fake time, with simulated miners on real sockets and a real store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pluto-state-machine-"))
        self.port = find_free_port()
        self.fleet = Fleet([self._make_spec(number, kind) for number, kind in enumerate(GENERATIONS)], timings=TIMINGS)
        self.fleet.start()
        self.clock, self.directory_numbers, self.name_numbers = FakeClock(), count(1), count(1)
        self.devices: dict[str, ExpectedDevice] = {}
        self.presets: dict[str, str] = {}
        self.monitored: set[str] = set()
        self.allowed_macs: defaultdict[str, set[str]] = defaultdict(set)
        self.data = self.folder / "data-0"
        self.service = self._start_service()

    def _make_spec(self, number: int, kind: str) -> MinerSpec:
        board = "204" if kind == "2.4" else "601"
        address = str(MINER_NETWORK[number + 1]), self.port
        return MinerSpec(kind, board, f"miner-{number}", mac_of(number + 1), address, log_rate=0.0)

    def _start_service(self) -> Service:
        self.fleet.write_neighbour_table(self.folder / "arp")
        machine_settings = Settings(
            data_dir=self.data,
            allowed_device_networks=LOOPBACK,
            discovery_subnets=(MINER_NETWORK,),
            discovery_ports=(self.port,),
            neighbour_table=self.folder / "arp",
            mdns=False,
            writes_per_second=10_000,
        )
        return Service(machine_settings, self.clock).start()

    def teardown(self) -> None:
        self.service.stop()
        self.fleet.stop()
        shutil.rmtree(self.folder)

    def send_request(self, act: str, method: str, path: str, body: Any, *expected: int) -> tuple[int, Any]:
        answer = self.service.client.open(path, method=method, json=body)
        assert answer.status_code in expected, (act, answer.status_code, answer.get_data(as_text=True))
        ACT_COUNTS[act] += 1
        return answer.status_code, answer.get_json()

    # Acts of users.

    @rule(index=MINER_INDEXES)
    def imprint_miner(self, index: int) -> None:
        miner = self.fleet[index]
        body = {"devices": [{"mac": miner.mac, "ip": miner.address}]}
        self.send_request("imprint", "PUT", "/devices/imprint", body, 200)
        self.devices.setdefault(miner.mac, ExpectedDevice())
        self.monitored.add(miner.mac)

    @initialize(rounds=ROUND_COUNTS)
    def set_up(self, rounds: int) -> None:
        self.imprint_all()
        self.create_preset()
        self.service.run_polls(rounds)

    @rule()
    def imprint_all(self) -> None:
        for index in range(len(self.fleet)):
            self.imprint_miner(index)

    @rule(index=MINER_INDEXES)
    def delete_device(self, index: int) -> None:
        mac = self.fleet[index].mac
        self.send_request("delete", "DELETE", f"/devices/imprint/{mac}", None, 200 if mac in self.devices else 404)
        self.devices.pop(mac, None)
        self.monitored.discard(mac)

    @rule(index=MINER_INDEXES)
    def edit_device(self, index: int) -> None:
        mac, name = self.fleet[index].mac, f"n{next(self.name_numbers)}"
        is_registered = mac in self.devices
        self.send_request(
            "edit", "PATCH", f"/devices/imprint/{mac}", {"device": {"name": name}}, 200 if is_registered else 404
        )
        if is_registered:
            self.devices[mac].name = name

    @rule(chosen=st.sets(MINER_INDEXES))
    def set_monitored(self, chosen: set[int]) -> None:
        macs = {self.fleet[index].mac for index in chosen}
        self.send_request("listen", "PUT", "/devices/listen", {"macs": sorted(macs)}, 200)
        self.monitored = macs & self.devices.keys()

    @rule()
    def create_preset(self) -> None:
        user = f"p{next(self.name_numbers)}"
        configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": user}
        body = {"name": user, "configuration": configuration}
        _, answer = self.send_request("preset", "POST", "/presets", body, 200)
        self.presets[answer["data"]["uuid"]] = user

    @rule(preset_index=st.integers(0))
    def delete_preset(self, preset_index: int) -> None:
        if self.presets:
            uuid = sorted(self.presets)[preset_index % len(self.presets)]
            self.send_request("delete preset", "DELETE", f"/presets/{uuid}", None, 200)
            del self.presets[uuid]
            for device in self.devices.values():
                device.preset = None if device.preset == uuid else device.preset

    @rule(index=MINER_INDEXES)
    def write_pool_user(self, index: int) -> None:
        """A pool user that only this miner may get."""
        mac, user = self.fleet[index].mac, f"w{next(self.name_numbers)}"
        self.allowed_macs[user].add(mac)
        self._write_settings(mac, {"info": {"stratumUser": user}})

    @rule(index=MINER_INDEXES, preset_index=st.integers(0))
    def apply_preset(self, index: int, preset_index: int) -> None:
        if self.presets:
            mac, uuid = self.fleet[index].mac, sorted(self.presets)[preset_index % len(self.presets)]
            self.allowed_macs[self.presets[uuid]].add(mac)
            self._write_settings(mac, {"presetUuid": uuid})

    def _write_settings(self, mac: str, body: dict[str, Any]) -> None:
        """Write settings. A miner that is off, absent or another one refuses; then the record stays unchanged."""
        expected = (200, 400, 409, 429, 502, 504) if mac in self.devices else (404,)
        status, answer = self.send_request("write", "PATCH", f"/devices/{mac}/system", body, *expected)
        ACT_COUNTS["written"] += status == 200
        if status == 200:
            self.devices[mac].preset = answer["data"].get("presetUuid")

    # Events of miners and of the service.

    @rule(index=MINER_INDEXES, to=st.integers(8, 20), rounds=ROUND_COUNTS)
    def move_miner(self, index: int, to: int, rounds: int) -> None:
        address = str(MINER_NETWORK[to])
        if self.fleet[index].powered and all(miner.server.address[0] != address for miner in self.fleet):
            self.fleet[index].move((address, self.port))
            self._let_rounds_pass("moved", rounds)

    @rule(one=MINER_INDEXES, other=MINER_INDEXES, rounds=ROUND_COUNTS)
    def swap_miners(self, one: int, other: int, rounds: int) -> None:
        if one != other and self.fleet[one].powered and self.fleet[other].powered:
            swap(self.fleet[one], self.fleet[other])
            self._let_rounds_pass("swapped", rounds)

    @rule(one=MINER_INDEXES, other=MINER_INDEXES)
    def swap_and_write(self, one: int, other: int) -> None:
        """Write before the service has noticed that another miner is at the address."""
        self.swap_miners(one, other, 0)
        self.write_pool_user(one)
        self.apply_preset(other, 0)

    @rule(index=MINER_INDEXES, rounds=ROUND_COUNTS)
    def toggle_power(self, index: int, rounds: int) -> None:
        miner = self.fleet[index]
        miner.power_off() if miner.powered else miner.power_on()
        self._let_rounds_pass("switched", rounds)

    @rule(rounds=ROUND_COUNTS)
    def wait_rounds(self, rounds: int) -> None:
        self._let_rounds_pass("waited", rounds)

    def _let_rounds_pass(self, act: str, rounds: int) -> None:
        """Let so many rounds of polls pass before the next act; with 0 the service has not noticed the event yet."""
        ACT_COUNTS[act] += 1
        self.fleet.write_neighbour_table(self.folder / "arp")
        self.service.run_polls(rounds)
        ACT_COUNTS["rounds"] += rounds

    @rule()
    def restart_service(self) -> None:
        self.service.stop()
        self._restart_with("restarted")

    @rule()
    def crash_service(self) -> None:
        """Continue with a copy of the files as they are now, which is what a kill leaves."""
        previous, self.data = self.data, self.folder / f"data-{next(self.directory_numbers)}"
        shutil.copytree(previous, self.data)
        self.service.stop()
        self._restart_with("crashed")

    def _restart_with(self, act: str) -> None:
        self.service = self._start_service()
        self.monitored = set(self.devices)
        ACT_COUNTS[act] += 1

    # Invariants.

    @invariant()
    def check_devices_and_presets(self) -> None:
        devices = {
            each["mac"]: ExpectedDevice(each.get("name"), each.get("presetUuid"))
            for each in self.service.list_devices()
        }
        assert devices == self.devices
        presets = self.service.read_data(self.service.client.get("/presets"))
        assert {each["uuid"]: each["name"] for each in presets} == self.presets

    @invariant()
    def check_totals(self) -> None:
        devices, scrape = self.service.list_devices(), self.service.scrape_metrics()
        assert {each["mac"] for each in devices if each["status"] != "unmonitored"} == self.monitored
        online = [each["info"] for each in devices if each["tracing"]]
        assert scrape.get_value("total_hardware") == len(self.monitored)
        assert scrape.get_value("hardware_online") == len(online)
        assert scrape.get_value("total_hashrate") == pytest.approx(sum(each["hashRate"] for each in online))
        assert scrape.get_value("total_power_watts") == pytest.approx(sum(each["power"] for each in online))

    @invariant()
    def check_writes_to_miners(self) -> None:
        for miner in self.fleet:
            for write in miner.request_log.writes:
                for user in USER.findall(write.body):
                    assert miner.mac in self.allowed_macs[user.decode()], (miner.mac, write)


def test_service_stays_consistent_under_random_acts_and_crashes(caplog: pytest.LogCaptureFixture) -> None:
    ACT_COUNTS.clear()
    machine_settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=FACTOR == 1,
        phases=[Phase.generate],  # an example takes two seconds, and shrinking takes hundreds of examples
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(ServiceStateMachine, settings=machine_settings)
    print(f"{EXAMPLES} examples: {dict(ACT_COUNTS)}")
    assert all(ACT_COUNTS[act] for act in ("imprint", "delete", "edit", "written", "moved", "swapped", "crashed"))
