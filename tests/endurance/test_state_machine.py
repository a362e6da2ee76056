"""What users, miners and crashes do in any order: the service always knows what it acknowledged, counts what is true,
and writes to no miner what is another's."""

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
from fakes import FakeClock, free_port
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from soak import FACTOR, times
from testbed import LOOPBACK, MINER_NETWORK, Service

from app.settings import Settings
from simulator import Fleet, MinerSpec, Timings, mac_of
from simulator.miner_fleet import swap

KINDS = ("2.12", "2.10", "2.15", "2.7", "2.4")
TIMINGS = Timings(boot=0.05, before_restart=0.02, mining=0.0, queue=0.02, cooling=0.5, resume=0.1)
EXAMPLES, STEPS = times(15), 30
USER = re.compile(rb'"stratumUser":"([wp]\d+)"')
WHICH = st.integers(0, len(KINDS) - 1)
ROUNDS = st.sampled_from([0, 1, 4])
DONE = Counter[str]()


@dataclass
class Known:
    """A device as its owner left it."""

    name: str | None = None
    preset: str | None = None


class Life(RuleBasedStateMachine):
    """The service under fake time, over real miners on real sockets and a real store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pluto-life-"))
        self.port = free_port()
        self.fleet = Fleet([self._spec(number, kind) for number, kind in enumerate(KINDS)], timings=TIMINGS)
        self.fleet.start()
        self.clock, self.lives, self.numbers = FakeClock(), count(1), count(1)
        self.devices: dict[str, Known] = {}
        self.presets: dict[str, str] = {}
        self.listening: set[str] = set()
        self.allowed: defaultdict[str, set[str]] = defaultdict(set)
        self.data = self.folder / "data-0"
        self.service = self._begin()

    def _spec(self, number: int, kind: str) -> MinerSpec:
        board = "204" if kind == "2.4" else "601"
        where = str(MINER_NETWORK[number + 1]), self.port
        return MinerSpec(kind, board, f"miner-{number}", mac_of(number + 1), where, log_rate=0.0)

    def _begin(self) -> Service:
        self.fleet.write_neighbour_table(self.folder / "arp")
        given = Settings(
            data_dir=self.data,
            allowed_device_networks=LOOPBACK,
            discovery_subnets=(MINER_NETWORK,),
            discovery_ports=(self.port,),
            neighbour_table=self.folder / "arp",
            mdns=False,
            writes_per_second=10_000,
        )
        return Service(given, self.clock).start()

    def teardown(self) -> None:
        self.service.stop()
        self.fleet.stop()
        shutil.rmtree(self.folder)

    def ask(self, what: str, method: str, path: str, body: Any, *expected: int) -> tuple[int, Any]:
        answer = self.service.client.open(path, method=method, json=body)
        assert answer.status_code in expected, (what, answer.status_code, answer.get_data(as_text=True))
        DONE[what] += 1
        return answer.status_code, answer.get_json()

    # What users do.

    @rule(which=WHICH)
    def imprint(self, which: int) -> None:
        miner = self.fleet[which]
        body = {"devices": [{"mac": miner.mac, "ip": miner.address}]}
        self.ask("imprint", "PUT", "/devices/imprint", body, 200)
        self.devices.setdefault(miner.mac, Known())
        self.listening.add(miner.mac)

    @initialize(rounds=ROUNDS)
    def begin(self, rounds: int) -> None:
        self.imprint_all()
        self.create_preset()
        self.service.round(rounds)

    @rule()
    def imprint_all(self) -> None:
        for which in range(len(self.fleet)):
            self.imprint(which)

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        mac = self.fleet[which].mac
        self.ask("delete", "DELETE", f"/devices/imprint/{mac}", None, 200 if mac in self.devices else 404)
        self.devices.pop(mac, None)
        self.listening.discard(mac)

    @rule(which=WHICH)
    def edit(self, which: int) -> None:
        mac, name = self.fleet[which].mac, f"n{next(self.numbers)}"
        there = mac in self.devices
        self.ask("edit", "PATCH", f"/devices/imprint/{mac}", {"device": {"name": name}}, 200 if there else 404)
        if there:
            self.devices[mac].name = name

    @rule(chosen=st.sets(WHICH))
    def listen(self, chosen: set[int]) -> None:
        macs = {self.fleet[which].mac for which in chosen}
        self.ask("listen", "PUT", "/devices/listen", {"macs": sorted(macs)}, 200)
        self.listening = macs & self.devices.keys()

    @rule()
    def create_preset(self) -> None:
        user = f"p{next(self.numbers)}"
        configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": user}
        body = {"name": user, "configuration": configuration}
        _, answer = self.ask("preset", "POST", "/presets", body, 200)
        self.presets[answer["data"]["uuid"]] = user

    @rule(pick=st.integers(0))
    def delete_preset(self, pick: int) -> None:
        if self.presets:
            uuid = sorted(self.presets)[pick % len(self.presets)]
            self.ask("delete preset", "DELETE", f"/presets/{uuid}", None, 200)
            del self.presets[uuid]
            for known in self.devices.values():
                known.preset = None if known.preset == uuid else known.preset

    @rule(which=WHICH)
    def write(self, which: int) -> None:
        """A pool user that only this miner may get."""
        mac, user = self.fleet[which].mac, f"w{next(self.numbers)}"
        self.allowed[user].add(mac)
        self._change(mac, {"info": {"stratumUser": user}})

    @rule(which=WHICH, pick=st.integers(0))
    def apply_preset(self, which: int, pick: int) -> None:
        if self.presets:
            mac, uuid = self.fleet[which].mac, sorted(self.presets)[pick % len(self.presets)]
            self.allowed[self.presets[uuid]].add(mac)
            self._change(mac, {"presetUuid": uuid})

    def _change(self, mac: str, body: dict[str, Any]) -> None:
        """Refused by a miner that is off, is not there, or is another; then the record stays as it was."""
        expected = (200, 400, 409, 429, 502, 504) if mac in self.devices else (404,)
        status, answer = self.ask("write", "PATCH", f"/devices/{mac}/system", body, *expected)
        DONE["written"] += status == 200
        if status == 200:
            self.devices[mac].preset = answer["data"].get("presetUuid")

    # What happens to miners, and to the service.

    @rule(which=WHICH, to=st.integers(8, 20), rounds=ROUNDS)
    def move(self, which: int, to: int, rounds: int) -> None:
        where = str(MINER_NETWORK[to])
        if self.fleet[which].powered and all(miner.server.address[0] != where for miner in self.fleet):
            self.fleet[which].move((where, self.port))
            self._happened("moved", rounds)

    @rule(one=WHICH, other=WHICH, rounds=ROUNDS)
    def swap(self, one: int, other: int, rounds: int) -> None:
        if one != other and self.fleet[one].powered and self.fleet[other].powered:
            swap(self.fleet[one], self.fleet[other])
            self._happened("swapped", rounds)

    @rule(one=WHICH, other=WHICH)
    def swap_and_write(self, one: int, other: int) -> None:
        """Before anybody has noticed that another miner is at its address."""
        self.swap(one, other, 0)
        self.write(one)
        self.apply_preset(other, 0)

    @rule(which=WHICH, rounds=ROUNDS)
    def switch(self, which: int, rounds: int) -> None:
        miner = self.fleet[which]
        miner.power_off() if miner.powered else miner.power_on()
        self._happened("switched", rounds)

    @rule(rounds=ROUNDS)
    def time_passes(self, rounds: int) -> None:
        self._happened("waited", rounds)

    def _happened(self, what: str, rounds: int) -> None:
        """And so many polls later a user may act again; 0: before anybody has noticed."""
        DONE[what] += 1
        self.fleet.write_neighbour_table(self.folder / "arp")
        self.service.round(rounds)
        DONE["rounds"] += rounds

    @rule()
    def restart(self) -> None:
        self.service.stop()
        self._again("restarted")

    @rule()
    def crash(self) -> None:
        """What is in the files at this moment is what a kill leaves: nothing of the rest is written there any more."""
        left, self.data = self.data, self.folder / f"data-{next(self.lives)}"
        shutil.copytree(left, self.data)
        self.service.stop()
        self._again("crashed")

    def _again(self, how: str) -> None:
        self.service = self._begin()
        self.listening = set(self.devices)
        DONE[how] += 1

    # What is always true.

    @invariant()
    def devices_are_those_acknowledged(self) -> None:
        seen = {each["mac"]: Known(each.get("name"), each.get("presetUuid")) for each in self.service.devices()}
        assert seen == self.devices
        presets = self.service.ok(self.service.client.get("/presets"))
        assert {each["uuid"]: each["name"] for each in presets} == self.presets

    @invariant()
    def totals_are_the_truth(self) -> None:
        devices, scrape = self.service.devices(), self.service.scrape()
        assert {each["mac"] for each in devices if each["status"] != "unmonitored"} == self.listening
        online = [each["info"] for each in devices if each["tracing"]]
        assert scrape.get_one("total_hardware") == len(self.listening)
        assert scrape.get_one("hardware_online") == len(online)
        assert scrape.get_one("total_hashrate") == pytest.approx(sum(each["hashRate"] for each in online))
        assert scrape.get_one("total_power_watts") == pytest.approx(sum(each["power"] for each in online))

    @invariant()
    def no_miner_was_told_what_is_anothers(self) -> None:
        for miner in self.fleet:
            for write in miner.request_log.writes:
                for user in USER.findall(write.body):
                    assert miner.mac in self.allowed[user.decode()], (miner.mac, write)


def test_a_life(caplog: pytest.LogCaptureFixture) -> None:
    DONE.clear()
    given = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=FACTOR == 1,
        phases=[Phase.generate],  # a life takes two seconds, and looking for a shorter one takes hundreds of them
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(Life, settings=given)
    print(f"{EXAMPLES} lives: {dict(DONE)}")
    assert all(DONE[what] for what in ("imprint", "delete", "edit", "written", "moved", "swapped", "crashed"))
