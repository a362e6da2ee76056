"""kill -9 of the whole service, master and worker, at random moments.

No acknowledged change is lost, no deleted object returns, and no job writes to a miner twice.
"""

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
from possible_values import NO_ANSWER, PossibleValues, make_requester
from processes import ServiceProcess, SimulatorProcess, wait_for
from soak import scale_loops

KILLS = scale_loops(20)
# The service keeps a hundred finished jobs.
MAX_JOBS = 80
USER = re.compile(r'"stratumUser":"(n\d+)"')
FINAL_STATES = {"done", "stopped", "cancelled", "interrupted"}
ABSENT = "(absent)"
SETTINGS = {"POLL_INTERVAL": 1, "PERSIST_INTERVAL": 1}


class ExpectedState:
    """The changes that clients made and the states that they allow. One client at a time changes an object."""

    def __init__(self, miners: SimulatorProcess) -> None:
        self.miners = miners
        writable = [each for each in miners.list_miners() if each["generation"] in ("2.10", "2.12", "2.15")]
        self.job_macs = [each["mac"] for each in writable[:4]]
        self.addresses = {each["mac"]: each["address"] for each in miners.list_miners()}
        self.devices = {mac: PossibleValues(ABSENT) for mac in self.addresses if mac not in self.job_macs}
        self.presets: dict[str, PossibleValues[bool]] = {}
        self.unanswered_presets: set[str] = set()
        self.jobs: dict[str, PossibleValues[bool]] = {}
        self.acknowledged: Counter[str] = Counter()
        self._numbers = count(1)

    def make_name(self) -> str:
        return f"n{next(self._numbers)}"

    # The loops of the clients; each ends when the service does not answer.

    def change_devices(self, send_request: Callable[..., Any], macs: list[str]) -> None:
        status = 200
        while status != NO_ANSWER:
            mac = random.choice(macs)
            status = self.change_device(send_request, mac)
            gevent.sleep(random.uniform(0, 0.02))

    def change_device(self, send_request: Callable[..., Any], mac: str) -> int:
        possible_values, path = self.devices[mac], f"/devices/imprint/{mac}"
        if not possible_values.is_certain:
            _, body = send_request("GET", path)
            return self.record_device(mac, body)
        if possible_values.value == ABSENT:
            name, change = "", "imprint"
            devices = [{"mac": mac, "ip": self.addresses[mac]}]
            status, _ = send_request("PUT", "/devices/imprint", {"devices": devices})
        elif random.random() < 0.4:
            name, change = ABSENT, "delete"
            status, _ = send_request("DELETE", path)
        else:
            name, change = self.make_name(), "edit"
            status, _ = send_request("PATCH", path, {"device": {"name": name}})
        return self.record_change(possible_values, name, status, change)

    def record_device(self, mac: str, body: Any) -> int:
        """Record the state of a device whose last change got no answer before the kill."""
        if body is None:
            return NO_ANSWER
        self.devices[mac].record_observation(read_name(body["data"]))
        return 200

    def record_change(self, possible_values: PossibleValues[Any], value: Any, status: int, change: str) -> int:
        possible_values.record_change(value, status)
        assert status in (200, 202, NO_ANSWER), f"{change}: {status}"
        self.acknowledged[change] += status != NO_ANSWER
        return status

    def change_presets(self, send_request: Callable[..., Any]) -> None:
        status = 200
        while status != NO_ANSWER:
            existing = [uuid for uuid, possible_values in self.presets.items() if possible_values.possible == {True}]
            if existing and random.random() < 0.4:
                uuid = random.choice(existing)
                status, _ = send_request("DELETE", f"/presets/{uuid}")
                self.record_change(self.presets[uuid], False, status, "delete preset")
            else:
                status = self.add_preset(send_request)
            gevent.sleep(random.uniform(0, 0.05))

    def add_preset(self, send_request: Callable[..., Any]) -> int:
        name = self.make_name()
        configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": name}
        status, body = send_request("POST", "/presets", {"name": name, "configuration": configuration})
        if status == NO_ANSWER:
            self.unanswered_presets.add(name)
            return NO_ANSWER
        self.presets[body["data"]["uuid"]] = PossibleValues(True)
        self.acknowledged["preset"] += 1
        return int(status)

    def start_jobs(self, send_request: Callable[..., Any], mac: str) -> None:
        """Start one job after the other; each writes its own pool user to the miner and may outlast several kills."""
        status = 200
        while status != NO_ANSWER:
            key = self.make_name()
            body = {"action": "settings", "devices": [mac], "settings": {"stratumUser": key}}
            schedule = {"waves": [], "pauseSeconds": 0}
            status, answer = send_request("POST", "/jobs", {**body, **schedule}, **{"Idempotency-Key": key})
            assert status in (202, 409, NO_ANSWER), answer
            if status != 409:
                self.record_change(self.jobs.setdefault(key, PossibleValues(False)), True, status, "job")
            gevent.sleep(0.1)

    # The checks after each restart.

    def check_service(self, service: ServiceProcess) -> None:
        devices = {each["mac"]: read_name(each) for each in service.list_devices()}
        assert set(self.job_macs) <= set(devices)
        for mac, possible_values in self.devices.items():
            possible_values.record_observation(devices.get(mac, ABSENT))
        presets = {each["uuid"]: each["name"] for each in service.call_api("GET", "/presets")["data"]}
        for uuid, possible_values in self.presets.items():
            possible_values.record_observation(uuid in presets)
        unknown_presets = {uuid: name for uuid, name in presets.items() if uuid not in self.presets}
        assert set(unknown_presets.values()) <= self.unanswered_presets
        self.presets |= {uuid: PossibleValues(True) for uuid in unknown_presets}
        self.unanswered_presets.clear()
        known = {read_job_user(job) for job in list_jobs(service)}
        self.jobs = dict(list(self.jobs.items())[-MAX_JOBS:])
        for key, possible_values in self.jobs.items():
            possible_values.record_observation(key in known)

    def count_job_writes(self) -> Counter[tuple[str, str]]:
        """Return how often each job's pool user was written to each miner."""
        return Counter(
            (mac, user)
            for mac in self.job_macs
            for method, path, body in self.miners.list_writes(mac)
            for user in set(USER.findall(body))
            if (method, path) == ("PATCH", "/api/system")
        )


def read_name(device: Any) -> str:
    return ABSENT if device is None else device.get("name") or ""


def read_job_user(job: Any) -> str:
    return str(job["request"]["settings"]["stratumUser"])


def run_clients_until_kill(expected: ExpectedState, service: ServiceProcess) -> None:
    """Run the clients, kill the service at a random moment and wait for the clients to end."""
    send_request = make_requester(service.url)
    macs = list(expected.devices)
    clients = [gevent.spawn(expected.change_devices, send_request, macs[number::3]) for number in range(3)]
    clients += [gevent.spawn(expected.start_jobs, send_request, mac) for mac in expected.job_macs]
    clients.append(gevent.spawn(expected.change_presets, send_request))
    gevent.sleep(random.uniform(0.0, 1.5))
    os.killpg(service.pid, signal.SIGKILL)
    service.wait(5)
    gevent.joinall(clients, timeout=30, raise_error=True)


def test_no_acknowledged_change_is_lost_by_kill_9(
    tmp_path: Path, miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    expected = ExpectedState(miners)
    service = start_service(**SETTINGS)
    devices = [{"mac": mac, "ip": expected.addresses[mac]} for mac in expected.job_macs]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(len(devices))
    for _ in range(KILLS):
        run_clients_until_kill(expected, service)
        if random.random() < 0.25:  # kill it again during its startup
            killed_early = ServiceProcess(tmp_path, service.settings)
            gevent.sleep(random.uniform(0.3, 1.2))
            os.killpg(killed_early.pid, signal.SIGKILL)
            killed_early.wait(5)
        service = start_service(**SETTINGS)
        expected.check_service(service)

    wait_for("the jobs to be over", lambda: all(job["state"] in FINAL_STATES for job in list_jobs(service)), 60)
    expected.check_service(service)
    written = expected.count_job_writes()
    assert written, "no job wrote to a miner"
    assert max(written.values()) == 1, [each for each in written.items() if each[1] > 1]
    assert all(
        expected.acknowledged[change] for change in ("imprint", "edit", "delete", "preset", "delete preset", "job")
    )
    assert "Traceback" not in service.read_output()
    print(f"{KILLS} kills, {dict(expected.acknowledged)} acknowledged, no loss")


def list_jobs(service: ServiceProcess) -> list[Any]:
    return list(service.call_api("GET", "/jobs")["data"])
