"""Published answers of boards and forks through the whole service: REST, /metrics and the totals of a fleet of one.

`None` is an absent series. Source of the expected values: issue 10 and the firmware facts that it cites.
"""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.errors import DeviceBadPayload
from app.miners.device_client import parse_object
from app.miners.http_connection import Reply

CASES = Path(__file__).parent.parent / "fixtures" / "cases"


@dataclass(frozen=True)
class Case:
    """`series`: suffix of `pluto_device_` → value. `totals`: hashrate (GH/s), power (W), efficiency (J/TH)."""

    model: str
    series: dict[str, float | None]
    totals: tuple[float, float, float | None]
    shares: dict[str, tuple[float, float]]
    detail: str | None = None
    info: dict[str, Any] = field(default_factory=dict)


NERD = {"fan2_percent": 40, "free_heap_internal_bytes": 148248, "hashrate_1d_ghs": 2748.972, "pool_connected": 1}
FORGE = {"fan_percent": 66, "fanspeed_rpm": 4100, "temperature1_celsius": 51, "temperature2_celsius": 54}
LVXX = {"temperature_celsius": 58.4, "temperature2_celsius": None, "wifi_rssi_dbm": None, "power_watts": 101.3}
EXPECTED = {
    "bitforge-hashrate-spike-after-resume": Case(
        "BITFORGE_NANO",
        {**FORGE, "hashrate_ghs": 953109632, "efficiency": None, "power_watts": 38.5},
        (0, 38.5, None),
        {"solo.atlaspool.io:4333": (229, 0)},
    ),
    "bitforge-nano-forgeos-1.5": Case(
        "BITFORGE_NANO",
        {**FORGE, "hashrate_ghs": 1980.2, "efficiency": 38.5 / 1.9802, "implausible_hashrates_total": 0},
        (1980.2, 38.5, 38.5 / 1.9802),
        {"solo.atlaspool.io:4333": (229, 0)},
    ),
    "bonanza-1002-v0.1.0-beta.3": Case(
        "Bonanza",
        {"mining_paused": 0, "temperature2_celsius": None, "pool_connected": 1, "hardware_fault": 0},
        (3701.2, 118.2, 118.2 / 3.7012),
        {"public-pool.io:3333": (871, 1)},
    ),
    "gamma-601-v2.10.1-failed-reading": Case(
        "Gamma",
        {"temperature_celsius": None, "temperature2_celsius": None, "vr_temperature_celsius": 68, "wifi_rssi_dbm": -69},
        (1658.6653179715183, 30.587522506713867, 30.587522506713867 / 1.6586653179715183),
        {"public-pool.io:21496": (14, 0)},
    ),
    "gamma-reject-reason-cut-inside-utf8": Case(
        "Gamma",
        {"temperature_celsius": 59.875, "shares_rejected": 3, "hashrate_10m_ghs": 1272.0834961},
        (1263.5794678, 22.2116699, 22.2116699 / 1.2635794678),
        {"public-pool.io:21496": (19, 3)},
    ),
    "gt800-v2.12.2-dead-sensors": Case(
        "GammaTurbo",
        {
            **dict.fromkeys(("power_watts", "voltage_volts", "efficiency", "temperature_celsius")),
            **dict.fromkeys(("temperature2_celsius", "vr_temperature_celsius")),
            "current_amps": 0,
            "fanspeed_rpm": 0,
            "hashrate_ghs": 2511.7,
        },
        (2511.7, 0, None),
        {"public-pool.io:21496": (19, 0)},
    ),
    "lv08-stock": Case(
        "LV08",
        {"temperature_celsius": 55, "temperature2_celsius": None, "wifi_rssi_dbm": None, "best_difficulty": 618e6},
        (3587.361904744003, 99.80615234375, 99.80615234375 / 3.587361904744003),
        {"solo.solohash.co.uk:3333": (57757, 66)},
    ),
    "lvxx-bare-nan": Case(
        "LV08",
        {**LVXX, "vr_temperature_celsius": None, "pool_response_seconds": None, "shares_rejected": 7},
        (3512.4, 101.3, 101.3 / 3.5124),
        {"public-pool.io:21496": (12345, 7)},
        info={"vrTemp": None, "responseTime": None, "bestDiff": "2.51G"},
    ),
    "lvxx-lv08-v2.12.2-2.1.1": Case(
        "LV08",
        {**LVXX, "vr_temperature_celsius": 55, "pool_response_seconds": 0.034567},
        (3512.4, 101.3, 101.3 / 3.5124),
        {"public-pool.io:21496": (12345, 7)},
    ),
    "nerdaxe-overheated-shutdown": Case(
        "NerdQAxe++",
        {**NERD, "hashrate_1d_ghs": 0, "shutdown": 1, "hashrate_ghs": 0, "power_watts": 9.4, "efficiency": None},
        (0, 9.4, None),
        {"172.17.1.6:2018": (3492, 3)},
        detail="The miner shut down its chips after overheating: check fan and airflow, then restart it",
    ),
    "nerdos-1.1.0-can-master": Case(
        "NerdQAxe++",
        {**NERD, "power_watts": 46, "efficiency": 184 / 10.9005, "shutdown": 0},
        (10900.5, 184, 184 / 10.9005),
        {"172.17.1.6:2018": (3492, 3)},
    ),
    "nerdos-1.1.0-dual-pool": Case(
        "NerdQAxe++",
        {**NERD, "shares_accepted": 700, "shares_rejected": 5},
        (5455.551, 103, 103 / 5.455551),
        {"public-pool.io:21496": (490, 4), "CKPool Main": (210, 1)},
    ),
    "tna-os-hybrid-0.10.18": Case(
        "TNA-OS Hybrid",
        {"wifi_rssi_dbm": None, "current_amps": 0, "pool_connected": 1, "pool_difficulty": 6053, "shutdown": 0},
        (13594, 852.5, 852.5 / 13.594),
        {"pool.example.org:3333": (98, 0)},
    ),
    "zyber-8g-1110-v2.11.8": Case(
        "Zyber8G",
        {"temperature_celsius": 61.125, "temperature2_celsius": 62.375, "fan2_speed_rpm": 2588},
        (9512.330078125, 138.4000244140625, 138.4000244140625 / 9.512330078125),
        {"public-pool.io:3333": (4412, 3)},
    ),
}


def make_spec(name: str, number: int = 0) -> dict[str, Any]:
    """Return the simulator's fields for one case, with the MAC of the answer."""
    body = (CASES / f"{name}.json").read_bytes()
    asic = CASES / f"{name}.asic.json"
    mac = re.search(rb'"macAddr":\s*"([^"]+)"', body)
    assert mac
    return {
        "generation": "nerd" if b'"hostip"' in body else "2.12" if asic.exists() else "2.4",
        "body": body,
        "asic_body": asic.read_bytes() if asic.exists() else None,
        "mac": mac[1].decode().lower(),
    }


def test_every_case_file_has_expected_values():
    assert {path.name.removesuffix(".json") for path in CASES.glob("*.json") if ".asic." not in path.name} == set(
        EXPECTED
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_published_answer_is_exported_as_expected(testbed, name):
    case = EXPECTED[name]
    service, (miner,) = testbed(make_spec(name))
    device, scrape = service.get_device(miner.mac), service.scrape_metrics()
    series = scrape.get_device_values(miner.mac)
    assert (device["status"], device.get("statusDetail")) == ("online", case.detail)
    assert {key: device["info"][key] for key in case.info} == case.info
    assert {key: series.get(key) for key in case.series} == pytest.approx(case.series)
    (info_labels,) = scrape.list_labels("pluto_device_info")
    assert info_labels["model"] == case.model
    names = ("total_hashrate", "total_power_watts", "pluto_fleet_efficiency_joules_per_terahash")
    assert tuple(scrape.get_value(each) for each in names) == pytest.approx(case.totals)
    for label, (accepted, rejected) in case.shares.items():
        assert scrape.get_value("shares_by_pool_accepted", pool=label) == accepted
        assert scrape.get_value("shares_by_pool_rejected", pool=label) == rejected
    assert len(scrape.list_labels("shares_by_pool_accepted")) == len(case.shares)
    page = service.client.get("/").get_data(as_text=True)
    assert case.model in page


def test_reject_reason_is_kept_without_cut_character(testbed):
    service, (miner,) = testbed(make_spec("gamma-reject-reason-cut-inside-utf8"))
    (reason,) = service.get_device(miner.mac)["info"]["sharesRejectedReasons"]
    assert reason["message"].startswith("Shar: адрес не зарегистрирован в пул") and reason["count"] == 3


def test_implausible_hashrate_is_counted_once_per_reading(testbed):
    service, (miner,) = testbed(make_spec("bitforge-hashrate-spike-after-resume"), rounds=3)
    before = service.scrape_metrics().get_device_values(miner.mac)["implausible_hashrates_total"]
    service.run_polls(2)
    assert service.scrape_metrics().get_device_values(miner.mac)["implausible_hashrates_total"] == before + 2


def test_device_without_power_sensor_is_excluded_from_fleet_efficiency(testbed):
    service, _ = testbed(make_spec("gt800-v2.12.2-dead-sensors"), make_spec("zyber-8g-1110-v2.11.8"))
    scrape = service.scrape_metrics()
    efficiency = 138.4000244140625 / 9.512330078125
    assert scrape.get_value("total_hashrate") == pytest.approx(2511.7 + 9512.330078125)
    assert scrape.get_value("pluto_fleet_efficiency_joules_per_terahash") == pytest.approx(efficiency)
    assert scrape.get_value("total_efficiency") == pytest.approx(1000 / efficiency)
    assert f"{efficiency:.1f}" in service.client.get("/").get_data(as_text=True)


VALID_FIELDS = b'"ASICModel":"BM1370","version":"v2.12.2","hashRate":500,"macAddr":"02:00:5e:10:00:77"'


@pytest.mark.parametrize(
    ("body", "info"),
    [
        (b'{%s,"a":nan,"b":-nan,"c":inf,"d":-inf}', dict.fromkeys("abcd")),
        (b'{%s,"a":NaN,"b":Infinity,"c":-Infinity,"d":[INF , nan]}', {"a": None, "c": None, "d": [None, None]}),
        (b'{%s,"a":" nan, inf","b":"\\":nan,","c":nan}', {"a": " nan, inf", "b": '":nan,', "c": None}),
        (b'{%s,"a":"\xd0","b":"\\\\","c":inf}', {"a": "�", "b": "\\", "c": None}),
    ],
)
def test_non_finite_value_becomes_null_and_other_fields_are_kept(testbed, body, info):
    service, (miner,) = testbed({"body": body % VALID_FIELDS, "mac": "02:00:5e:10:00:77"})
    device = service.get_device(miner.mac)
    assert device["status"] == "online"
    assert {key: device["info"].get(key) for key in info} == info


@pytest.mark.parametrize(
    "body",
    [
        b"{%s",
        b'{%s,"a":"\xd0',
        b'{%s,"a":}',
        b'{%s,"a":nano}',
        b'{%s,"a":1nan}',
        b'{%s,"a":nan',
        b"{%s}}",
        b"{%s,nan:1}",
    ],
)
def test_broken_json_fails_the_poll(testbed, body):
    service, (miner,) = testbed({"body": body % VALID_FIELDS, "mac": "02:00:5e:10:00:77"}, rounds=5)
    assert service.get_status(miner.mac) == "offline"


@pytest.mark.parametrize(
    "piece", [b'"', b'\\"', b'"\\', b"nan,", b"-", b"inf(", b'"",', b"[", b"\xff", b"-nan", b"i"], ids=repr
)
def test_parse_time_of_hostile_answer_is_linear(piece):
    """256 KiB is the largest answer that is read; a quadratic parser would take minutes."""
    body = (b'{"a":' + piece * (256 * 1024 // len(piece)))[: 256 * 1024]
    began = time.process_time()
    with pytest.raises(DeviceBadPayload):
        parse_object(Reply(200, {}, body))
    assert time.process_time() - began < 0.5


def test_each_chip_of_published_answer_has_its_series(testbed):
    service, (zyber, nerd) = testbed(make_spec("zyber-8g-1110-v2.11.8"), make_spec("nerdos-1.1.0-dual-pool"))
    scrape = service.scrape_metrics()
    labels = scrape.list_labels("pluto_device_asic_hashrate_ghs")
    assert [(each["mac"], each["asic"]) for each in labels] == [(zyber.mac, str(number)) for number in range(1, 9)]
    assert scrape.get_value("pluto_device_asic_errors_total", asic="8") == 11
    assert [chip["number"] for chip in service.get_device(zyber.mac)["chips"]] == list(range(1, 9))
    assert "chips" not in service.get_device(nerd.mac)  # its asicTemps are zeros: no reading
    assert scrape.get_value("pluto_device_block_chance_per_day", mac=nerd.mac) > 0
