"""The health check of a miner after a job changed it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.clock import Moment
from app.models import Reading
from app.services.jobs.health_check import MinerHealth, baseline_hashrate, capture_state, check_health, has_booted_since
from app.services.jobs.model import CapturedState

BEFORE = CapturedState({"frequency": 500, "coreVoltage": 1150}, hashrate=1000.0, power=20.0)
HEALTHY = {
    "ASICModel": "BM1370",
    "hashRate": 990.0,
    "hashRate_1m": 500.0,
    "power": 19.0,
    "frequency": 500,
    "coreVoltage": 1150,
    "autofanspeed": 1,
    "manualFanSpeed": 60,
    "overheat_mode": 0,
    "apEnabled": 0,
    "miningPaused": False,
}
OLD_FIRMWARE = {key: value for key, value in HEALTHY.items() if key not in ("hashRate_1m", "miningPaused")}


@pytest.mark.parametrize(
    ("settings", "changed", "health"),
    [
        ({}, {}, MinerHealth.WELL),
        ({}, {"hashRate": 701}, MinerHealth.WELL),
        ({}, {"hashRate": 699}, MinerHealth.NOT_YET),
        ({}, {"hashRate": 0}, MinerHealth.NOT_YET),
        ({}, {"hashRate": None}, MinerHealth.NOT_YET),
        # Half the frequency gives half the hashrate; no more is required.
        ({"frequency": 250}, {"frequency": 250, "hashRate": 360}, MinerHealth.WELL),
        ({"frequency": 250}, {"frequency": 250, "hashRate": 340}, MinerHealth.NOT_YET),
        ({"frequency": 600}, {"frequency": 600, "hashRate": 830}, MinerHealth.NOT_YET),
        ({}, {"overheat_mode": 1}, MinerHealth.ILL),
        ({}, {"power_fault": "regulator off"}, MinerHealth.ILL),
        ({}, {"hardware_fault": "fan"}, MinerHealth.ILL),
        # The miner fell back by itself and has already cleared the flag.
        ({"frequency": 525}, {"frequency": 425, "autofanspeed": 0, "manualFanSpeed": 100}, MinerHealth.ILL),
        ({"stratumUser": "mine"}, {"stratumUser": "other.user"}, MinerHealth.ILL),
        ({"temptarget": 55}, {}, MinerHealth.WELL),
    ],
)
def test_health_by_one_reading(settings, changed, health):
    assert check_health(BEFORE, settings, {**HEALTHY, **changed})[0] is health


def test_reason_names_settings_changed_by_overheating():
    info = {**HEALTHY, "frequency": 425, "autofanspeed": 0, "manualFanSpeed": 100}
    assert check_health(BEFORE, {"frequency": 525}, info)[1] == "The miner overheated and fell back: frequency 425"


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({"hashRate": 0, "power": 19.0}, MinerHealth.WELL),
        ({"hashRate": 0, "power": 6.0}, MinerHealth.NOT_YET),
        ({"hashRate": 300, "power": 12.0}, MinerHealth.WELL),
    ],
)
def test_health_of_old_firmware_is_decided_by_power(changed, health):
    assert check_health(BEFORE, {}, {**OLD_FIRMWARE, **changed})[0] is health


def test_miner_that_did_not_hash_before_needs_no_hashrate():
    assert check_health(CapturedState({}, 0.0, 0.0), {}, {**HEALTHY, "hashRate": 0}) == (MinerHealth.WELL, "")


@pytest.mark.parametrize(
    ("info", "rate"),
    [
        ({"hashRate": 900, "hashRate_10m": 1000}, 1000),
        ({"hashRate": 900, "hashRate_10m": 0}, 900),
        ({"hashRate": 900}, 900),
        ({"hashRate": "off"}, 0),
        ({}, 0),
    ],
)
def test_baseline_hashrate(info, rate):
    assert baseline_hashrate(info) == rate


def test_capture_of_previous_settings():
    """Captured are the settings to be changed and those that overheating may change; not settings that the miner does
    not report, nor passwords."""
    info = {**HEALTHY, "stratumUser": "mine", "stratumPassword": "*****"}
    captured = capture_state(info, ("stratumUser", "stratumPassword", "minFanSpeed"))
    assert captured.settings == {
        "stratumUser": "mine",
        "frequency": 500,
        "coreVoltage": 1150,
        "autofanspeed": 1,
        "manualFanSpeed": 60,
    }
    assert (captured.hashrate, captured.power) == (990.0, 19.0)


@pytest.mark.parametrize(("auto", "captured"), [(0, {"manualFanSpeed": 71}), (1, {})])
def test_fan_speed_is_captured_only_if_set_manually(auto, captured):
    settings = capture_state({"ASICModel": "BM1366", "fanspeed": 70.6, "autofanspeed": auto}, ()).settings
    assert {key: value for key, value in settings.items() if key == "manualFanSpeed"} == captured


@pytest.mark.parametrize(("uptime", "booted"), [(5, True), (600, False), (None, None), ("x", None)])
def test_booted_since(uptime, booted):
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    reading = Reading({} if uptime is None else {"uptimeSeconds": uptime}, None, now)
    assert has_booted_since(Moment(now - timedelta(seconds=60)), reading) is booted
