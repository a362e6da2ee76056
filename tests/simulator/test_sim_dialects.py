"""Tests of the answers of each generation: members, types, formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
import requests
from sim_helpers import BOARDS, FakeClock, StartMiner, make_url

from simulator import GENERATIONS, MinerSpec, Timings
from simulator.cjson import print_json
from simulator.device_state import make_state
from simulator.info_printer import InfoPrinter

BODIES = Path(__file__).parent / "bodies"
ALL = list(GENERATIONS)
CONSTRUCTED = {
    "2.4": "bitaxe-ultra-204-v2.4.5.constructed.json",
    "2.15": "bitaxe-gamma-601-v2.15.0.constructed.json",
    "nerd": "nerdqaxeplus-v1.0.30.constructed.json",
}


def name_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.mark.parametrize(("generation", "name"), CONSTRUCTED.items())
def test_members_and_types_match_firmware(
    start_miner: StartMiner, session: requests.Session, generation: str, name: str
) -> None:
    expected = json.loads((BODIES / name).read_text())
    answer = session.get(make_url(start_miner(generation))).json()
    assert {key: name_type(value) for key, value in answer.items()} == {
        key: name_type(value) for key, value in expected.items()
    }
    pools = [{key: name_type(value) for key, value in pool.items()} for pool in answer.get("pools", [])]
    assert pools == [{key: name_type(value) for key, value in pool.items()} for pool in expected.get("pools", [])]


# Generation: (members that it has, members that it does not have).
PRESENCE = {
    "2.1": (
        {"fanSpeed", "fanspeed", "boardVersion"},
        {"macAddr", "hostname", "asicCount", "fanrpm", "vrTemp"},
    ),
    "2.4": (
        {"macAddr", "hostname", "asicCount", "stratumDiff", "fanrpm"},
        {"fanSpeed", "temptarget", "temp2"},
    ),
    "2.7": ({"asicCount", "maxPower", "temptarget", "sharesRejectedReasons"}, {"temp2", "poolDifficulty"}),
    "2.10": (
        {"temp2", "poolDifficulty", "axeOSVersion", "minFanSpeed"},
        {"asicCount", "manualFanSpeed", "ipv4"},
    ),
    "2.12": ({"hashRate_1m", "manualFanSpeed", "poolAddrFamily", "resetReason"}, {"pools", "miningPaused"}),
    "2.15": ({"pools", "miningPaused", "poolConnectionInfo", "partitions"}, {"asicCount", "poolAddrFamily"}),
    "nerd": ({"deviceModel", "hostip", "jobInterval"}, {"boardVersion", "expectedHashrate", "otp"}),
    "nerd1.0.36": ({"deviceModel", "hostip"}, {"boardVersion"}),
    "nerd1.1": ({"fans", "stratum", "stratumTLS", "manualFanSpeed"}, {"isUsingFallbackStratum", "boardVersion"}),
}


@pytest.mark.parametrize("generation", ALL)
def test_generation_has_its_members(start_miner: StartMiner, session: requests.Session, generation: str) -> None:
    present, absent = PRESENCE[generation]
    answer = session.get(make_url(start_miner(generation))).json()
    assert present <= set(answer)
    assert not absent & set(answer)
    assert not {"power_fault", "hardware_fault", "stratumPassword", "wifiPass"} & set(answer)


BEST = {
    "2.1": r'"bestDiff":"[\d.e+]+[kMGTPE]?"',
    "2.7": r'"bestDiff":"[\d.e+]+[kMGTPE]?"',
    "2.10": r'"bestDiff":"\d+\.\d\d [kMGTPE]"',
    "2.12": r'"bestDiff":\d+,',
    "2.15": r'"bestDiff":\d+,',
    "nerd": r'"bestDiff":"[\d.e+]+[kMGTPE]?"',
    "nerd1.0.36": r'"bestDiff":\d+,',
    "nerd1.1": r'"bestDiff":\d+,',
}


@pytest.mark.parametrize(("generation", "pattern"), BEST.items())
def test_best_difficulty_has_format_of_generation(
    start_miner: StartMiner, session: requests.Session, generation: str, pattern: str
) -> None:
    reply = session.get(make_url(start_miner(generation)))
    assert re.search(pattern, reply.text), reply.text[:400]
    assert reply.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("generation", ALL)
def test_printed_members_equal_values_of_live_websocket(start_miner: StartMiner, generation: str) -> None:
    """The text with its cached members and the values of the live websocket and of faults are the same."""
    state = make_state(MinerSpec(generation, BOARDS.get(generation, "601")), Random(1), FakeClock(), Timings())
    printer = InfoPrinter(state)
    assert json.loads(printer.print_info()) == json.loads(print_json(printer.read_values()))


def test_floats_have_digits_of_generation(start_miner: StartMiner, session: requests.Session) -> None:
    """C floats have all their digits up to 2.10 and at most seven decimals since 2.11."""
    old = session.get(make_url(start_miner("2.7", board="601"))).text
    new = session.get(make_url(start_miner("2.12"))).text
    assert any(len(digits) > 10 for digits in re.findall(r"\.(\d+)", old))
    assert all(len(digits) <= 7 for digits in re.findall(r":\d+\.(\d+)", new))


@pytest.mark.parametrize(
    ("generation", "board", "member", "value"),
    [
        ("2.10", "601", "temp2", 0),
        ("2.12", "601", "temp2", -1),
        ("2.7", "204", "vrTemp", 0),
        ("2.10", "601", "stratumExtranonceSubscribe", 0),
        ("2.15", "601", "stratumExtranonceSubscribe", False),
        ("2.12", "601", "isUsingFallbackStratum", 0),
        ("nerd", "nerdqaxe+", "isUsingFallbackStratum", False),
        ("nerd", "nerdqaxe+", "autofanspeed", 2),
        ("2.4", "204", "autofanspeed", 1),
    ],
)
def test_sentinels_and_flags_have_type_of_generation(
    start_miner: StartMiner, generation: str, board: str, member: str, value: object
) -> None:
    answer = start_miner(generation, board=board).read_info()
    assert answer[member] == value
    assert type(answer[member]) is type(value)


def test_board_with_two_chips_reports_two_temperatures(start_miner: StartMiner) -> None:
    assert start_miner("2.12", board="801").read_info()["temp2"] > 30


def test_current_is_input_of_ina260_and_output_of_tps546(start_miner: StartMiner) -> None:
    ultra, gamma = start_miner("2.12", board="204").read_info(), start_miner("2.12", board="601").read_info()
    assert ultra["current"] * ultra["voltage"] / 1e6 == pytest.approx(ultra["power"], rel=0.01)
    assert gamma["current"] * gamma["voltage"] / 1e6 > 2 * gamma["power"]


@pytest.mark.parametrize(
    ("generation", "more"),
    [
        ("2.7", set()),
        ("2.10", {"deviceModel", "swarmColor", "defaultFrequency", "defaultVoltage"}),
        ("2.12", {"deviceModel", "swarmColor", "defaultFrequency", "defaultVoltage"}),
        ("2.15", {"deviceModel", "swarmColor", "defaultFrequency", "defaultVoltage", "hashDomains"}),
    ],
)
def test_asic_has_members_of_generation(
    start_miner: StartMiner, session: requests.Session, generation: str, more: set[str]
) -> None:
    answer = session.get(make_url(start_miner(generation, board="601"), "/api/system/asic")).json()
    assert set(answer) == {"ASICModel", "asicCount", "frequencyOptions", "voltageOptions"} | more
    assert answer["frequencyOptions"] == [400, 490, 525, 550, 600, 625]


def test_asic_of_2_15_equals_firmware_bytes(start_miner: StartMiner, session: requests.Session) -> None:
    expected = (BODIES / "asic-gamma-601-v2.15.0.constructed.json").read_text().strip()
    assert session.get(make_url(start_miner("2.15"), "/api/system/asic")).text == expected


@pytest.mark.parametrize("generation", ["2.1", "2.4", "nerd"])
def test_firmware_without_asic_redirects_to_page(
    start_miner: StartMiner, session: requests.Session, generation: str
) -> None:
    miner = start_miner(generation)
    reply = session.get(make_url(miner, "/api/system/asic"), allow_redirects=False)
    assert (reply.status_code, reply.reason, reply.headers["Location"]) == (302, "Temporary Redirect", "/")
    followed = session.get(make_url(miner, "/api/system/asic"))
    assert (followed.status_code, followed.headers["Content-Type"]) == (200, "text/html")


def test_unknown_path_answers_404_or_redirect(start_miner: StartMiner, session: requests.Session) -> None:
    new, old = start_miner("2.15"), start_miner("2.12")
    unknown = session.get(make_url(new, "/api/nothing"))
    assert (unknown.status_code, unknown.json()) == (404, {"error": "unknown route"})
    assert session.get(make_url(old, "/api/nothing"), allow_redirects=False).status_code == 302
    assert session.get(make_url(new, "/nothing"), allow_redirects=False).status_code == 302


ORIGINS = [
    ("2.4", "http://evil.example", 200),
    ("2.12", "http://192.168.1.5", 200),
    ("2.12", "http://192.168.1.5:8080", 401),
    ("2.12", "http://bitaxe.local", 401),
    ("2.12", "https://192.168.1.5", 401),
    ("2.12", "null", 401),
    ("2.15", "http://bitaxe.local:8080", 200),
    ("2.15", "http://bitaxe", 200),
    ("2.15", "http://192.168.1.5:8080", 401),
    ("2.15", "http://8.8.8.8", 401),
    ("nerd", "http://192.168.1.5:8080", 200),
    ("nerd", "http://localhost:4200", 200),
    ("nerd", "http://evil.example", 401),
]


@pytest.mark.parametrize(("generation", "origin", "status"), ORIGINS)
def test_origin_is_checked_per_generation(
    start_miner: StartMiner, session: requests.Session, generation: str, origin: str, status: int
) -> None:
    reply = session.get(make_url(start_miner(generation)), headers={"Origin": origin})
    assert reply.status_code == status
    if status == 401:
        assert (reply.text, reply.headers["Content-Type"]) == ("Unauthorized", "text/html")
        assert "WWW-Authenticate" not in reply.headers


@pytest.mark.parametrize(("generation", "size", "status"), [("2.7", 600, 431), ("2.12", 600, 200), ("2.12", 1100, 431)])
def test_too_many_header_bytes_answer_431(
    start_miner: StartMiner, session: requests.Session, generation: str, size: int, status: int
) -> None:
    assert session.get(make_url(start_miner(generation)), headers={"X-Long": "x" * size}).status_code == status


def test_recorded_body_is_served_unchanged(start_miner: StartMiner, session: requests.Session) -> None:
    body = b'{\n\t"hashRate":\t1e999, "odd": "\xc3\xa9"}'
    assert session.get(make_url(start_miner("2.12", body=body))).content == body
