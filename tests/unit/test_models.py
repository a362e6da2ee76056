"""Liveness rules without I/O."""

from datetime import UTC, datetime

import pytest

from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceLocked,
    DeviceRedirected,
    DeviceRefused,
    DeviceStatus,
    DeviceTimeout,
    DeviceTooLarge,
    DeviceUnreachable,
    WrongMiner,
)  # fmt: skip
from app.models import Observation, Reading, Status, is_reboot, next_observation

MAC, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
AT = datetime(2026, 1, 1, tzinfo=UTC)
READING = Reading({"hashRate": 1}, MAC, AT)
FAILURE = DeviceTimeout("late")


def apply_outcomes(*outcomes, offline_after=3):
    observation = Observation()
    for outcome in outcomes:
        observation = next_observation(observation, outcome, offline_after)
    return observation


@pytest.mark.parametrize(
    ("outcomes", "status", "failures"),
    [
        ([], "pending", 0),
        ([READING], "online", 0),
        ([FAILURE], "pending", 1),
        ([FAILURE, FAILURE], "pending", 2),
        ([FAILURE, FAILURE, FAILURE], "offline", 3),
        ([READING, FAILURE], "stale", 1),
        ([READING, FAILURE, FAILURE], "stale", 2),
        ([READING, FAILURE, FAILURE, FAILURE], "offline", 3),
        ([READING, FAILURE, FAILURE, READING], "online", 0),
        ([READING, FAILURE, FAILURE, READING, FAILURE], "stale", 1),
        ([READING, FAILURE, FAILURE, FAILURE, READING], "online", 0),
        ([READING, DeviceLocked()], "locked", 1),
        ([DeviceRefused()], "refused", 1),
        ([READING, DeviceLocked(), READING], "online", 0),
        # A miner that was locked and is now silent is offline: no outdated values are exported again.
        ([READING, DeviceLocked(), FAILURE], "offline", 2),
        ([READING, FAILURE, FAILURE, FAILURE, DeviceLocked()], "locked", 4),
        ([READING, FAILURE, FAILURE, FAILURE, FAILURE], "offline", 4),
    ],
)
def test_status_after_outcomes(outcomes, status, failures):
    observation = apply_outcomes(*outcomes)
    assert (observation.status, observation.failures) == (Status(status), failures)


@pytest.mark.parametrize(
    ("outcomes", "status", "failures"),
    [
        ([READING, FAILURE], "restarting", 1),
        ([READING, *[FAILURE] * 11], "restarting", 11),
        ([FAILURE, FAILURE, FAILURE], "restarting", 3),
        ([READING, FAILURE, READING], "online", 0),
        ([READING, DeviceLocked()], "locked", 1),
        ([READING, DeviceLocked(), FAILURE], "offline", 2),
    ],
)
def test_status_after_outcomes_during_restart(outcomes, status, failures):
    observation = Observation()
    for outcome in outcomes:
        observation = next_observation(observation, outcome, 3, restarting=True)
    assert (observation.status, observation.failures) == (Status(status), failures)
    if status == "restarting":
        assert next_observation(observation, FAILURE, 3).status is (Status.OFFLINE if failures > 1 else Status.STALE)


def test_retry_after_applies_once():
    observation = apply_outcomes(READING, DeviceStatus(429, "", 30.0))
    assert (observation.status, observation.retry_after) == (Status.STALE, 30.0)
    assert next_observation(observation, FAILURE, 3).retry_after == 0
    assert next_observation(observation, READING, 3).retry_after == 0


def test_offline_after_one_failure_if_configured():
    assert apply_outcomes(READING, FAILURE, offline_after=1).status is Status.OFFLINE


def test_failures_keep_last_reading_and_reason():
    observation = apply_outcomes(READING, FAILURE, DeviceUnreachable("no route"))
    assert observation.reading is READING
    assert (observation.error, observation.reason) == ("no route", "unreachable")


def test_reading_clears_the_error():
    observation = apply_outcomes(FAILURE, READING)
    assert (observation.error, observation.reason) == (None, None)


def test_every_error_has_its_own_reason():
    errors = [
        DeviceUnreachable("."), DeviceTimeout("."), DeviceDropped("."), DeviceTooLarge("."), DeviceBadPayload("."),
        DeviceRedirected("."),
        DeviceStatus(500, ""), DeviceLocked(), DeviceRefused(), WrongMiner(MAC, OTHER, "10.0.0.1"),
    ]  # fmt: skip
    assert len({error.reason for error in errors}) == len(errors)


@pytest.mark.parametrize(
    ("before", "now", "reboot"),
    [
        (100, 99, True),
        (100, 0, True),
        (100, 100, False),
        (100, 105, False),
        (None, 5, False),
        (100, None, False),
        (True, False, False),
        ("100", 5, False),
    ],
)
def test_reboot_is_detected_by_falling_uptime(before, now, reboot):
    first, second = (Reading({"uptimeSeconds": uptime}, MAC, AT) for uptime in (before, now))
    assert is_reboot(first, second) is reboot
    assert is_reboot(None, second) is False
