"""kill -9 of the whole service, master and worker, at any moment of its life: nothing that was acknowledged is missing,
nothing that was deleted returns, and no miner is written to twice by a job."""

from __future__ import annotations

import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from belief import NO_ANSWER, Belief, asking
from processes import ServiceProcess, SimulatorProcess, wait_for
from soak import times

LOOPS = times(20)
# The service keeps a hundred that are over.
JOBS = 80
USER = re.compile(r'"stratumUser":"(n\d+)"')
OVER = {"done", "stopped", "cancelled", "interrupted"}
ABSENT = "(absent)"
SETTINGS = {"POLL_INTERVAL": 1, "PERSIST_INTERVAL": 1}


class World:
    """What callers did to the service, and what they may expect of it. A thing is changed by one caller at a time."""

    def __init__(self, miners: SimulatorProcess) -> None:
        self.miners = miners
        able = [each for each in miners.list_miners() if each["generation"] in ("2.10", "2.12", "2.15")]
        self.in_jobs = [each["mac"] for each in able[:4]]
        self.addresses = {each["mac"]: each["address"] for each in miners.list_miners()}
        self.devices = {mac: Belief(ABSENT) for mac in self.addresses if mac not in self.in_jobs}
        self.presets: dict[str, Belief[bool]] = {}
        self.lost_presets: set[str] = set()
        self.jobs: dict[str, Belief[bool]] = {}
        self.acknowledged: Counter[str] = Counter()
        self._numbers = count(1)

    def name(self) -> str:
        return f"n{next(self._numbers)}"

    # What callers do, again and again, until the service is gone.

    def keep_devices(self, ask: Callable[..., Any], macs: list[str]) -> None:
        status = 200
        while status != NO_ANSWER:
            mac = random.choice(macs)
            status = self.change_device(ask, mac)
            gevent.sleep(random.uniform(0, 0.02))

    def change_device(self, ask: Callable[..., Any], mac: str) -> int:
        belief, path = self.devices[mac], f"/devices/imprint/{mac}"
        if not belief.settled:
            _, body = ask("GET", path)
            return self.look(mac, body)
        if belief.value == ABSENT:
            name, what = "", "imprint"
            devices = [{"mac": mac, "ip": self.addresses[mac]}]
            status, _ = ask("PUT", "/devices/imprint", {"devices": devices})
        elif random.random() < 0.4:
            name, what = ABSENT, "delete"
            status, _ = ask("DELETE", path)
        else:
            name, what = self.name(), "edit"
            status, _ = ask("PATCH", path, {"device": {"name": name}})
        return self.noted(belief, name, status, what)

    def look(self, mac: str, body: Any) -> int:
        """A change got no answer in the life before; what became of it is known now."""
        if body is None:
            return NO_ANSWER
        self.devices[mac].seen(name_of(body["data"]))
        return 200

    def noted(self, belief: Belief[Any], value: Any, status: int, what: str) -> int:
        belief.changed(value, status)
        assert status in (200, 202, NO_ANSWER), f"{what}: {status}"
        self.acknowledged[what] += status != NO_ANSWER
        return status

    def keep_presets(self, ask: Callable[..., Any]) -> None:
        status = 200
        while status != NO_ANSWER:
            there = [uuid for uuid, belief in self.presets.items() if belief.possible == {True}]
            if there and random.random() < 0.4:
                uuid = random.choice(there)
                status, _ = ask("DELETE", f"/presets/{uuid}")
                self.noted(self.presets[uuid], False, status, "delete preset")
            else:
                status = self.add_preset(ask)
            gevent.sleep(random.uniform(0, 0.05))

    def add_preset(self, ask: Callable[..., Any]) -> int:
        name = self.name()
        configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": name}
        status, body = ask("POST", "/presets", {"name": name, "configuration": configuration})
        if status == NO_ANSWER:
            self.lost_presets.add(name)
            return NO_ANSWER
        self.presets[body["data"]["uuid"]] = Belief(True)
        self.acknowledged["preset"] += 1
        return int(status)

    def start_jobs(self, ask: Callable[..., Any], mac: str) -> None:
        """One after the other; each writes a pool user of its own to the miner, and lasts for a life or two."""
        status = 200
        while status != NO_ANSWER:
            key = self.name()
            body = {"action": "settings", "devices": [mac], "settings": {"stratumUser": key}}
            pace = {"waves": [], "pauseSeconds": 0}
            status, answer = ask("POST", "/jobs", {**body, **pace}, **{"Idempotency-Key": key})
            assert status in (202, 409, NO_ANSWER), answer
            if status != 409:
                self.noted(self.jobs.setdefault(key, Belief(False)), True, status, "job")
            gevent.sleep(0.1)

    # What must hold whenever it is there again.

    def check(self, service: ServiceProcess) -> None:
        devices = {each["mac"]: name_of(each) for each in service.list_devices()}
        assert set(self.in_jobs) <= set(devices)
        for mac, belief in self.devices.items():
            belief.seen(devices.get(mac, ABSENT))
        presets = {each["uuid"]: each["name"] for each in service.call_api("GET", "/presets")["data"]}
        for uuid, belief in self.presets.items():
            belief.seen(uuid in presets)
        strangers = {uuid: name for uuid, name in presets.items() if uuid not in self.presets}
        assert set(strangers.values()) <= self.lost_presets
        self.presets |= {uuid: Belief(True) for uuid in strangers}
        self.lost_presets.clear()
        known = {user_of(job) for job in jobs(service)}
        self.jobs = dict(list(self.jobs.items())[-JOBS:])
        for key, belief in self.jobs.items():
            belief.seen(key in known)

    def written_by_jobs(self) -> Counter[tuple[str, str]]:
        """How often each job's pool user was written to each miner."""
        return Counter(
            (mac, user)
            for mac in self.in_jobs
            for method, path, body in self.miners.list_writes(mac)
            for user in set(USER.findall(body))
            if (method, path) == ("PATCH", "/api/system")
        )


def name_of(device: Any) -> str:
    return ABSENT if device is None else device.get("name") or ""


def user_of(job: Any) -> str:
    return str(job["request"]["settings"]["stratumUser"])


def live(world: World, service: ServiceProcess) -> None:
    """Callers at work until it is killed."""
    ask = asking(service.url)
    macs = list(world.devices)
    callers = [gevent.spawn(world.keep_devices, ask, macs[number::3]) for number in range(3)]
    callers += [gevent.spawn(world.start_jobs, ask, mac) for mac in world.in_jobs]
    callers.append(gevent.spawn(world.keep_presets, ask))
    gevent.sleep(random.uniform(0.0, 1.5))
    os.killpg(service.pid, signal.SIGKILL)
    service.wait(5)
    gevent.joinall(callers, timeout=30, raise_error=True)


def test_kill_minus_9_loses_nothing(
    tmp_path: Path, miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    world = World(miners)
    service = start_service(**SETTINGS)
    devices = [{"mac": mac, "ip": world.addresses[mac]} for mac in world.in_jobs]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(len(devices))
    for _ in range(LOOPS):
        live(world, service)
        if random.random() < 0.25:  # again, before it is there
            early = ServiceProcess(tmp_path, service.settings)
            gevent.sleep(random.uniform(0.3, 1.2))
            os.killpg(early.pid, signal.SIGKILL)
            early.wait(5)
        service = start_service(**SETTINGS)
        world.check(service)

    wait_for("the jobs to be over", lambda: all(job["state"] in OVER for job in jobs(service)), 60)
    world.check(service)
    written = world.written_by_jobs()
    assert written, "no job wrote anything"
    assert max(written.values()) == 1, [each for each in written.items() if each[1] > 1]
    assert all(world.acknowledged[what] for what in ("imprint", "edit", "delete", "preset", "delete preset", "job"))
    assert "Traceback" not in service.read_output()
    print(f"{LOOPS} kills, {dict(world.acknowledged)} acknowledged, nothing lost")


def jobs(service: ServiceProcess) -> list[Any]:
    return list(service.call_api("GET", "/jobs")["data"])
