"""The problems of a device: one sentence each, since when, and what the service does next."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.errors import DeviceBadPayload, DeviceLocked, DeviceRefused, DeviceTimeout, DeviceUnreachable
from app.miners.device_facts import read_facts
from app.miners.telemetry import read_telemetry
from app.models import Cause, Derived, Device, Drift, Observation, Reading, next_observation
from app.services.devices.fleet import Tracked
from app.services.devices.problems import NEXT_ATTEMPT, find_problems

INFO = {
    "ASICModel": "BM1370", "hostname": "bitaxe", "hashRate": 1000.0, "power": 18.0, "temp": 55.0, "uptimeSeconds": 3600,
    "isUsingFallbackStratum": 0, "isStratumConnected": 1,
}  # fmt: skip
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_device(**info):
    """Return a monitored device that gave this answer."""
    tracked = Tracked(Device("02:00:5e:00:00:01", "192.168.1.5"))
    tracked.monitored = True
    tracked.observation = next_observation(Observation(), Reading({**INFO, **info}, None, AT), 3)
    return tracked


def fail_polls(tracked, error, count=3):
    for _ in range(count):
        tracked.observation = next_observation(tracked.observation, error, 3)
    return tracked


def find_all(tracked):
    facts, telemetry = read_facts(tracked.info), read_telemetry(tracked.info)
    return find_problems(tracked, telemetry, facts)


def kinds_of(tracked):
    return [str(problem.kind) for problem in find_all(tracked)]


def test_device_that_hashes_has_no_problem():
    assert find_all(make_device()) == []


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DeviceUnreachable("192.168.1.5 cannot be reached: Connection refused"), "offline",
         "No answer: connection refused."),
        (DeviceTimeout("No complete answer within 4 s"), "offline", "No complete answer within 4 s."),
        (DeviceBadPayload("The answer is not HTTP"), "offline", "The answer is not HTTP."),
        (DeviceLocked(), "locked",
         "The miner asks for a login. Turn its login off, or allow reading without one."),
        (DeviceRefused(), "refused", f"{DeviceRefused()}."),
    ],
)  # fmt: skip
def test_device_that_does_not_answer(error, kind, message):
    (problem,) = find_all(fail_polls(make_device(), error))
    assert (problem.kind, problem.severity, problem.message) == (kind, "error", message)
    assert (problem.since, problem.next) == ("2026-01-02T03:04:05.000Z", NEXT_ATTEMPT)


def test_one_missed_poll_is_a_warning():
    (problem,) = find_all(fail_polls(make_device(), DeviceTimeout("No complete answer within 4 s"), 1))
    assert (problem.kind, problem.severity) == ("stale", "warning")


def test_device_that_never_answered_has_no_beginning():
    tracked = make_device()
    tracked.observation = Observation()
    (problem,) = find_all(fail_polls(tracked, DeviceTimeout("No complete answer within 4 s")))
    assert problem.since is None
    tracked.device = replace(tracked.device, last_seen="2026-01-01T00:00:00.000Z")
    assert find_all(tracked)[0].since == "2026-01-01T00:00:00.000Z"


def test_device_that_does_not_answer_has_no_problems_of_its_last_answer():
    tracked = make_device(overheat_mode=1, isUsingFallbackStratum=1)
    assert kinds_of(tracked) == ["overheated", "fallback_pool"]
    assert kinds_of(fail_polls(tracked, DeviceTimeout("No complete answer within 4 s"))) == ["offline"]


def test_device_that_is_not_monitored_or_restarts_is_no_problem():
    tracked = fail_polls(make_device(), DeviceTimeout("No complete answer within 4 s"))
    tracked.monitored = False
    assert find_all(tracked) == []
    restarting = make_device()
    restarting.observation = next_observation(
        restarting.observation, DeviceTimeout("No complete answer within 4 s"), 3, restarting=True
    )
    assert find_all(restarting) == []


@pytest.mark.parametrize(
    ("info", "kinds"),
    [
        ({"overheat_mode": 1}, ["overheated"]),
        ({"overheat_mode": 1, "hashRate": 0}, ["overheated"]),
        ({"shutdown": True, "hashRate": 0}, ["held_back"]),
        ({"power_fault": "Vcore too low"}, ["power_fault"]),
        ({"hardware_fault": "ASIC not found"}, ["hardware_fault"]),
        ({"isStratumConnected": 0}, ["pool_disconnected"]),
        ({"isStratumConnected": 0, "uptimeSeconds": 20}, []),
        ({"hashRate": 0}, ["not_hashing"]),
        ({"hashRate": 0, "uptimeSeconds": 20}, []),
        ({"hashRate": 0, "miningPaused": True}, []),
        ({"isUsingFallbackStratum": 1}, ["fallback_pool"]),
        ({"isUsingFallbackStratum": 1, "power_fault": "Vcore too low"}, ["power_fault", "fallback_pool"]),
    ],
)
def test_problems_of_an_answer(info, kinds):
    assert kinds_of(make_device(**info)) == kinds


def test_conflict_drift_and_warnings():
    tracked = make_device()
    tracked.conflict = "192.168.1.9 also claims to be 02:00:5e:00:00:01"
    tracked.drift = (
        Drift("frequency", 525, 500, "2026-01-01T00:00:00.000Z", Cause.CHANGED_ELSEWHERE),
        Drift("stratumURL", "a", "b", "2025-12-31T00:00:00.000Z", Cause.POOL_CHANGED),
        Drift("hostname", "a", "b", "2026-01-01T12:00:00.000Z", Cause.PENDING_RESTART),
    )
    tracked.derived = Derived(warnings=("Chip 1 does not hash", "The shares prove less."))
    conflict, drift, restart, first, second = find_all(tracked)
    assert conflict.message.endswith("192.168.1.9 also claims to be 02:00:5e:00:00:01.")
    assert conflict.next.endswith("until this is resolved.")
    assert (drift.kind, drift.since) == ("drift", "2025-12-31T00:00:00.000Z")
    assert drift.message == "Settings differ from what was written: frequency, stratumURL."
    assert (restart.kind, restart.message) == ("pending_restart", "A restart is needed for hostname.")
    assert [first.message, second.message] == ["Chip 1 does not hash.", "The shares prove less."]
