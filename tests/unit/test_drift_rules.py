"""The differences between the settings that a device runs and its desired state, and their causes."""

from datetime import UTC, datetime, timedelta

import pytest

from app.clock import Moment
from app.models import Cause, Drift
from app.services.configuration.drift_rules import (
    FACTORY,
    FACTORY_BY_CHIP,
    OWN_CHANGE_SECONDS,
    LastWrite,
    factory_settings,
    find_drift,
    is_foreign_pool,
)
from simulator.asic_boards import BOARDS
from simulator.settings_store import make_factory_settings as simulated_factory

DAY = 86400.0
NOW = Moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "this boot", 500_000.0)


def make_moment(seconds, wall=0.0, boot="this boot"):
    """Return a moment so many seconds ago, at which the time of day was `wall` seconds ahead."""
    return Moment(NOW.at - timedelta(seconds=seconds - wall), boot, NOW.seconds - seconds)


DESIRED = {"frequency": 525, "coreVoltage": 1150, "stratumURL": "pool.example", "stratumUser": "mine.w"}
RUNNING = {
    "ASICModel": "BM1370",
    "hostname": "attic",
    "frequency": 525.0,
    "coreVoltage": 1150,
    "autofanspeed": 1,
    "manualFanSpeed": 60,
    "overheat_mode": 0,
    "stratumURL": "pool.example",
    "stratumUser": "mine.w",
}
RESET = {"hostname": "bitaxe", "frequency": 525, "coreVoltage": 1150, "stratumURL": "public-pool.io", "stratumUser": ""}


def find_causes(info, desired=DESIRED, written=None, uptime=DAY):
    rows = find_drift(desired, info | {"uptimeSeconds": uptime}, written or {}, NOW)
    return {key: cause for key, (_, _, cause) in rows.items()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"frequency": "525"}, {}),
        ({"hashRate": 0, "wifiRSSI": -90}, {}),
        ({"frequency": 490}, {"frequency": Cause.CHANGED_ELSEWHERE}),
        ({"frequency": None}, {}),
        ({"stratumURL": "evil.example"}, {"stratumURL": Cause.POOL_CHANGED}),
        ({"stratumUser": "theirs.w"}, {"stratumUser": Cause.POOL_CHANGED}),
        (
            {"stratumUser": "theirs.w", "frequency": 490},
            {"stratumUser": Cause.POOL_CHANGED, "frequency": Cause.CHANGED_ELSEWHERE},
        ),
        # AxeOS ≥ 2.12 after overheating: 100 MHz and 100 mV less, the fan fixed at full speed, the flag cleared.
        (
            {"frequency": 425, "coreVoltage": 1050, "autofanspeed": 0, "manualFanSpeed": 100},
            {"frequency": Cause.OVERHEAT_FALLBACK, "coreVoltage": Cause.OVERHEAT_FALLBACK},
        ),
        # AxeOS ≤ 2.10: latched.
        (
            {"frequency": 50, "coreVoltage": 1000, "autofanspeed": 0, "overheat_mode": 1},
            {"frequency": Cause.OVERHEAT_FALLBACK, "coreVoltage": Cause.OVERHEAT_FALLBACK},
        ),
        # A higher value: the firmware never does that.
        ({"frequency": 600, "autofanspeed": 0, "manualFanSpeed": 100}, {"frequency": Cause.CHANGED_ELSEWHERE}),
        (
            {"frequency": 425, "stratumURL": "evil.example", "overheat_mode": 1},
            {"frequency": Cause.OVERHEAT_FALLBACK, "stratumURL": Cause.POOL_CHANGED},
        ),
    ],
)
def test_cause_of_drift(changed, expected):
    info = {key: value for key, value in {**RUNNING, **changed}.items() if value is not None}
    assert find_causes(info) == expected


def test_factory_reset_is_recognised():
    """The hostname is `bitaxe` again, and at least two drifted settings, and all that have a default, are at their
    defaults."""
    desired = {"frequency": 600, "coreVoltage": 1200, "stratumURL": "pool.example", "statsFrequency": 30}
    info = {**RUNNING, **RESET, "statsFrequency": 0}
    assert find_causes(info, desired) == dict.fromkeys(desired, Cause.FACTORY_RESET)


@pytest.mark.parametrize(
    "changed", [{"hostname": "attic"}, {"coreVoltage": 1200}, {"frequency": 600, "coreVoltage": 1200}]
)
def test_some_defaults_are_no_factory_reset(changed):
    desired = {"frequency": 600, "coreVoltage": 1200, "stratumURL": "pool.example"}
    found_causes = find_causes({**RUNNING, **RESET, **changed}, desired)
    assert found_causes["stratumURL"] is Cause.POOL_CHANGED
    assert Cause.FACTORY_RESET not in found_causes.values()


@pytest.mark.parametrize("board", ["601", "650", "204", "401", "102", "801", "302"])
def test_factory_defaults_equal_those_of_simulated_miner(board):
    chip = BOARDS[board]
    stored = simulated_factory(chip, "bitaxe")
    ours = factory_settings({"ASICModel": chip.chip.name, "boardVersion": board})
    assert {key: stored[key] for key in ours} == ours
    assert set(ours) == {*FACTORY, "frequency", "coreVoltage"}
    assert "BM1373" in FACTORY_BY_CHIP


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(OWN_CHANGE_SECONDS - 1, {}), (OWN_CHANGE_SECONDS, {"frequency": Cause.CHANGED_ELSEWHERE})],
)
def test_our_own_write_is_no_drift_for_half_a_minute(seconds, expected):
    written = {"frequency": LastWrite(make_moment(seconds))}
    assert find_causes({**RUNNING, "frequency": 490}, written=written) == expected


PENDING = {"stratumURL": LastWrite(make_moment(60), needs_restart=True, before="old.example")}


def test_pending_restart_shows_value_that_miner_still_runs():
    rows = find_drift(DESIRED, RUNNING | {"uptimeSeconds": DAY}, PENDING, NOW)
    assert rows == {"stratumURL": ("pool.example", "old.example", Cause.PENDING_RESTART)}


@pytest.mark.parametrize(
    ("written", "uptime"),
    [
        (PENDING, 30),
        (PENDING, None),
        ({"stratumURL": LastWrite(make_moment(10), True, "old.example")}, DAY),
        ({"stratumURL": LastWrite(make_moment(60), False, "old.example")}, DAY),
        ({"hostname": LastWrite(make_moment(60), True, "other")}, DAY),
    ],
)
def test_setting_that_is_not_pending_is_no_drift(written, uptime):
    assert find_causes(RUNNING, written=written, uptime=uptime) == {}


YEARS = 10 * 365 * DAY


@pytest.mark.parametrize("wall", [0, 3600, -3600, 90 * DAY, -90 * DAY, YEARS, -YEARS])
@pytest.mark.parametrize(("uptime", "is_pending"), [(30, False), (59, False), (61, True), (DAY, True)])
def test_pending_restart_does_not_depend_on_time_of_day(wall, uptime, is_pending):
    written = {"stratumURL": LastWrite(make_moment(60, wall), True, "old.example")}
    expected = {"stratumURL": Cause.PENDING_RESTART} if is_pending else {}
    assert find_causes(RUNNING, written=written, uptime=uptime) == expected


@pytest.mark.parametrize(
    ("wall", "before", "uptime", "is_pending"),
    [
        (0, None, DAY, True),
        (0, None, 30, False),
        (90 * DAY, None, DAY, False),  # no evidence: a possibly superfluous restart is not requested
        (90 * DAY, 2 * DAY, DAY, False),
        (-90 * DAY, DAY, 2 * DAY, False),
        (30, 2 * DAY, DAY, False),  # 30 s ago by the time of day, but the uptime shows an older boot
    ],
)
def test_pending_restart_after_host_reboot_depends_on_uptime(wall, before, uptime, is_pending):
    written = {"stratumURL": LastWrite(make_moment(60, wall, "the boot before"), True, "old.example", before)}
    expected = {"stratumURL": Cause.PENDING_RESTART} if is_pending else {}
    assert find_causes(RUNNING, written=written, uptime=uptime) == expected


def test_changed_elsewhere_takes_precedence_over_pending():
    assert find_causes({**RUNNING, "stratumURL": "evil.example"}, written=PENDING) == {"stratumURL": Cause.POOL_CHANGED}


def test_is_foreign_pool():
    rows = [Drift(key, 1, 2, "", cause) for key in ("stratumUser", "frequency") for cause in Cause]
    assert {(row.key, row.cause) for row in rows if is_foreign_pool(row)} == {
        ("stratumUser", cause) for cause in Cause if cause is not Cause.PENDING_RESTART
    }
