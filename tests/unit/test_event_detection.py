"""The events that follow from two answers of a device, with published answers of boards and forks."""

from pathlib import Path

import pytest

from app.miners.device_client import parse_object
from app.miners.device_facts import DeviceFacts, fill_facts, read_facts, watch_fields
from app.miners.http_connection import Reply
from app.miners.uptime import has_rebooted
from app.services.event_log.detection import detect_changes
from app.services.event_log.kinds import KINDS, EventKind, format_difficulty, format_duration

CASES = sorted((Path(__file__).parent.parent / "fixtures/cases").glob("*.json"))
CASES = [path for path in CASES if not path.name.endswith(".asic.json")]
GT800, NERD, DUAL = "gt800-v2.12.2-dead-sensors", "nerdos-1.1.0-can-master", "nerdos-1.1.0-dual-pool"


def read_case(name, **changes):
    path = next(path for path in CASES if path.stem == name)
    info = parse_object(Reply(200, {}, path.read_bytes()))
    return {**info, **changes}


def detect(before, after, elapsed=5.0):
    """Return kind → details of the events between two answers."""
    found = detect_changes(read_facts(before), read_facts(after), elapsed)
    kinds = {str(each.kind): each.details for each in found}
    assert len(kinds) == len(found)
    return kinds


@pytest.mark.parametrize("name", [path.stem for path in CASES])
def test_unchanged_answer_tells_nothing(name):
    info = read_case(name)
    later = {**info, "uptimeSeconds": read_facts(info).uptime + 5, "sharesAccepted": 10**6, "hashRate": 1.0}
    assert detect(info, later) == {}
    assert watch_fields(info) == watch_fields(later)


@pytest.mark.parametrize("name", [path.stem for path in CASES])
def test_reboot_is_told_with_the_reason_of_the_firmware(name):
    info = read_case(name)
    reason = info.get("resetReason") or info.get("lastResetReason")
    after = {**info, "uptimeSeconds": 3, "sharesAccepted": 0}
    assert detect(info, after) == {"reboot": {"reason": reason, "uptime": 3.0}}


def test_reset_reason_of_axeos_and_nerdos():
    assert read_facts(read_case(GT800)).reset_reason == "Software reset via esp_restart"
    assert read_facts(read_case(NERD)).reset_reason == "SYSTEM.RESET_SOFTWARE"


@pytest.mark.parametrize(
    ("before", "now", "elapsed", "rebooted"),
    [
        (1000, 1005, 5, False),
        (1000, 999, 5, True),
        (1000, 3, None, True),
        (1000, 4000, 7200, True),  # was not polled for two hours, and restarted in the first of them
        (1000, 8150, 7200, False),  # the clocks differ by a few seconds
        (1000, 5000, None, False),
        (1000, 2000, 10 * 365 * 86400, False),  # the time of day jumped
        (1000, 2000, -3600, False),
        (None, 5, 5, False),
        (5, None, 5, False),
    ],
)
def test_reboot_by_uptime(before, now, elapsed, rebooted):
    assert has_rebooted(before, now, elapsed) is rebooted


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (GT800, {"overheat_mode": 1, "temp": 81}, {"overheating": {"temperature": 81.0}}),
        (GT800, {"overheat_mode": 1}, {"overheating": {"temperature": None}}),  # the sensor of this case is dead
        (NERD, {"shutdown": True}, {"overheating": {"temperature": 59.875}}),
        (GT800, {"miningPaused": True}, {"paused": {}}),
        (GT800, {"miningPaused": 1}, {"paused": {}}),
        (GT800, {"version": "v2.13.0"}, {"firmware_changed": {"from": "v2.12.2", "to": "v2.13.0"}}),
        (GT800, {"version": None}, {}),
        (GT800, {"hostname": "attic"}, {"renamed": {"field": "hostname", "from": "g18", "to": "attic"}}),
        (GT800, {"hostname": ""}, {}),
        (GT800, {"blockFound": 2}, {"block_found": {"blocks": 2, "difficulty": 6702259710.0}}),
        (NERD, {"totalFoundBlocks": 1, "foundBlocks": 1}, {"block_found": {"blocks": 1, "difficulty": 13790464144.0}}),
        (
            GT800,
            {"bestDiff": 7000000000, "bestSessionDiff": 7000000000},
            {"best_difficulty": {"difficulty": 7e9, "before": 6702259710.0}},
        ),
        (
            "gamma-601-v2.10.1-failed-reading",
            {"bestSessionDiff": "123.40 M"},
            {"best_session_difficulty": {"difficulty": 123.4e6, "before": 11.9e6}},
        ),
        (GT800, {"bestDiff": 1, "bestSessionDiff": 1}, {}),
        (GT800, {"bestDiff": "no number", "bestSessionDiff": None}, {}),
    ],
)
def test_change_is_told_once(name, changes, expected):
    before = read_case(name)
    after = {**before, **changes}
    assert watch_fields(before) != watch_fields(after)
    assert detect(before, after) == expected
    assert detect(after, after) == {}


def test_end_of_a_pause_is_told():
    paused = read_case(GT800, miningPaused=True)
    assert detect(paused, {**paused, "miningPaused": False}) == {"resumed": {}}


@pytest.mark.parametrize(
    ("name", "primary", "fallback"),
    [
        (GT800, {"isUsingFallbackStratum": 0}, {"isUsingFallbackStratum": 1}),
        (GT800, {"isUsingFallbackStratum": False}, {"isUsingFallbackStratum": True}),
        (
            NERD,
            {"stratum": {"activePoolMode": 0, "usingFallback": False}},
            {"stratum": {"activePoolMode": 0, "usingFallback": True}},
        ),
    ],
)
def test_failover_and_return_name_the_pool(name, primary, fallback):
    pools = {"stratumURL": "a.example", "stratumPort": 3333, "fallbackStratumURL": "b.example"}
    first = read_case(name, **pools, fallbackStratumPort=3334, **primary)
    second = {**first, **fallback}
    assert watch_fields(first) != watch_fields(second)
    assert detect(first, second) == {"pool_failover": {"pool": "b.example:3334"}}
    assert detect(second, first) == {"pool_return": {"pool": "a.example:3333"}}


def test_two_active_pools_have_no_failover():
    before = read_case(DUAL)
    after = {**before, "stratum": {**before["stratum"], "usingFallback": True}}
    assert detect(before, after) == {}


@pytest.mark.parametrize(
    ("before", "now", "blocks"),
    [
        (0, 1, 1),
        (1, 1, None),
        (3, 1, 1),  # the count began again at 0 with the device's start
        (1, 0, None),
        (None, 4, None),
        (4, None, None),
    ],
)
def test_blocks_are_counted_across_a_restart_of_the_device(before, now, blocks):
    found = detect_changes(DeviceFacts(blocks_found=before), DeviceFacts(blocks_found=now), 5.0)
    assert [each.details["blocks"] for each in found] == ([] if blocks is None else [blocks])


def test_every_kind_has_a_row_and_a_sentence():
    """With details of every key, each sentence is complete: it ends without a gap."""
    assert set(KINDS) == set(EventKind)
    values = {"seconds": 75.0, "keys": ["frequency"], "counts": {"done": 2}, "difficulty": 5.56e9, "blocks": 1}
    for kind, row in KINDS.items():
        details = {key: values.get(key, f"<{key}>") for key in row.details}
        sentence = row.sentence("Attic", details)
        assert sentence == sentence.strip()
        assert "None" not in sentence, kind
        assert set(row.repeats_by or ()) <= set(row.details)


@pytest.mark.parametrize("name", [path.stem for path in CASES])
def test_facts_that_an_answer_lacks_are_those_before(name):
    """An empty answer changes nothing; the uptime and the reason of a reboot are never taken from before."""
    before = read_facts(read_case(name, miningPaused=True, overheat_mode=1))
    now = fill_facts(read_facts({}), before)
    assert detect_changes(before, now, 5.0) == detect_changes(now, before, 5.0) == []
    assert (now.firmware, now.is_paused, now.blocks_found) == (before.firmware, True, before.blocks_found)
    assert (now.uptime, now.reset_reason, now.temperature, now.pool) == (None,) * 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3620, "1 h"), (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_difficulties_are_shown_as_the_firmware_shows_them():
    shown = [format_difficulty(value) for value in (512, 38100, 5.56e9, 2.1e18)]
    assert shown == ["512", "38.1k", "5.56G", "2.1E"]
