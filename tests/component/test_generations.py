"""Every firmware generation, imprinted, polled and exported: the right numbers in the right units, and nothing
invented."""

import json
import math

import pytest

from simulator import GENERATIONS

# /metrics suffix → the firmware's field and what one unit of it is. Written from reference/device.md §4, not from the
# code.
NUMBERS = {
    "power_watts": ("power", 1),
    "voltage_volts": ("voltage", 1000),
    "current_amps": ("current", 1000),
    "hashrate_ghs": ("hashRate", 1),
    "hashrate_1m_ghs": ("hashRate_1m", 1),
    "hashrate_10m_ghs": ("hashRate_10m", 1),
    "hashrate_1h_ghs": ("hashRate_1h", 1),
    "expected_hashrate_ghs": ("expectedHashrate", 1),
    "error_percent": ("errorPercentage", 1),
    "temperature_celsius": ("temp", 1),
    "frequency_mhz": ("frequency", 1),
    "actual_frequency_mhz": ("actualFrequency", 1),
    "core_voltage_volts": ("coreVoltage", 1000),
    "core_voltage_actual_volts": ("coreVoltageActual", 1000),
    "uptime_seconds": ("uptimeSeconds", 1),
    "free_heap_bytes": ("freeHeap", 1),
    "shares_accepted": ("sharesAccepted", 1),
    "shares_rejected": ("sharesRejected", 1),
    "fan_percent": ("fanspeed", 1),
    "wifi_rssi_dbm": ("wifiRSSI", 1),
    "max_power_watts": ("maxPower", 1),
    "mining_paused": ("miningPaused", 1),
    "overheat": ("overheat_mode", 1),
    "cpu_percent": ("cpuUsage", 1),
}
SUFFIX = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
KEPT_OPEN = {"2.10", "2.12", "2.15"}


@pytest.fixture
def poll_one(make_fleet, make_service, clock):
    def poll(generation, rounds=3, **spec):
        fleet = make_fleet({"generation": generation, **spec}, clock=clock.monotonic)
        service = make_service(fleet, clock=clock)
        service.imprint(fleet[0])
        service.round(rounds)
        return service, fleet[0]

    return poll


@pytest.mark.parametrize("generation", GENERATIONS)
def test_its_numbers_are_exported_in_base_units(poll_one, generation):
    service, miner = poll_one(generation)
    truth, exported = miner.read_info(), service.scrape().of_device(miner.mac)
    expected = {suffix: truth[field] / unit for suffix, (field, unit) in NUMBERS.items() if field in truth}
    assert len(expected) > 12
    assert {suffix: exported.get(suffix) for suffix in expected} == pytest.approx(expected, rel=1e-9)
    assert exported["up"] == 1
    assert exported["efficiency"] == pytest.approx(truth["power"] / (truth["hashRate"] / 1000), rel=1e-9)
    unknown = {suffix for suffix, (field, _) in NUMBERS.items() if field not in truth}
    assert not unknown & exported.keys()
    assert all(map(math.isfinite, exported.values()))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_fields_that_changed_their_name_or_type(poll_one, generation):
    service, miner = poll_one(generation)
    truth, exported = miner.read_info(), service.scrape().of_device(miner.mac)
    assert exported["fanspeed_rpm"] == truth["fanSpeed" if generation == "2.1" else "fanrpm"]
    assert exported["best_difficulty"] == pytest.approx(_difficulty(truth["bestDiff"]))
    if "stratumDiff" in truth or "poolDifficulty" in truth:
        assert exported["pool_difficulty"] == truth.get("poolDifficulty", truth.get("stratumDiff"))
    pings = truth.get("responseTime", truth.get("lastpingrtt"))
    assert exported.get("pool_response_seconds") == (None if pings is None else pytest.approx(pings / 1000))


def _difficulty(value):
    """ "5.56G", "572.14 M", "1e+03k", 5e9."""
    text = str(value).replace(" ", "")
    return float(text[:-1]) * SUFFIX[text[-1]] if text[-1] in SUFFIX else float(text)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_device_on_the_wire_is_what_the_firmware_said(poll_one, generation):
    service, miner = poll_one(generation)
    device, truth = service.device(miner.mac), miner.read_info()
    assert (device["mac"], device["ip"], device["type"]) == (miner.mac, miner.address, "unknown")
    assert (device["tracing"], device["stale"], device["status"]) == (True, False, "online")
    added = {"frequencyOptions", "coreVoltageOptions"}
    assert device["info"].keys() - truth.keys() == added
    assert '""' not in json.dumps(device["info"])
    empty = {key for key, value in truth.items() if value == ""}
    assert {key: value for key, value in device["info"].items() if key not in added | {"pools"}} == {
        key: value for key, value in truth.items() if key not in empty | {"pools"}
    }
    assert "assword" not in str(device)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_connections_are_kept_where_the_firmware_bears_it_and_asic_is_asked_once(poll_one, generation):
    """From AxeOS 2.10 one connection serves all polls; older ones have too few sockets, NerdOS closes by itself.
    Defect 29/30 of
    the original: nothing limited what one device was asked."""
    service, miner = poll_one(generation, rounds=6)
    polls = miner.requests["GET", "/api/system/info"]
    assert polls == 6 == service.observed(miner.mac)
    asics = miner.requests["GET", "/api/system/asic"]
    assert asics == 1  # old firmware redirects it, which is an answer too
    assert miner.max_in_flight == 1
    if generation in KEPT_OPEN:
        # The first answer tells the generation, so the first poll may cost a connection of its own.
        assert miner.connections_accepted <= 2
        assert miner.connections_open == 1
    else:
        assert miner.connections_accepted == polls + asics


@pytest.mark.parametrize(
    ("generation", "board", "model"),
    [("2.12", "601", "Gamma"), ("2.15", "801", "GammaTurbo"), ("2.7", "302", "Hex"), ("2.4", "204", "Ultra"), ("2.10",
     "401", "Supra"),
     ("2.1", "0.11", "Ultra"), ("2.10", "102", "Max"), ("2.15", "650", "GammaDuo"), ("2.12", "701", "SupraHex"),
     ("nerd", "nerdqaxe+", "NerdQAxe+")],
)  # fmt: skip
def test_the_model_is_a_label(poll_one, generation, board, model):
    service, miner = poll_one(generation, rounds=1, board=board)
    (labels,) = service.scrape().labels_of("pluto_device_power_watts")
    assert labels == {
        "mac": miner.mac,
        "hostname": service.device(miner.mac)["info"].get("hostname", ""),
        "model": model,
    }


@pytest.mark.parametrize("generation", ["2.4", "2.7", "2.15", "nerd", "nerd1.0.36"])
def test_options_are_the_devices_own_or_the_vendors_table(poll_one, generation):
    """Defect 41: the original had four chips in a table and never asked. Where there is no /asic, the table of AxeOS
    2.15 serves."""
    service, miner = poll_one(generation)
    info, chip = service.device(miner.mac)["info"], miner.board.chip
    assert info["frequencyOptions"] == [{"label": str(value), "value": value} for value in chip.frequencies]
    assert info["coreVoltageOptions"] == [{"label": str(value), "value": value} for value in chip.voltages]
    source = service.runtime.fleet.get(miner.mac).vendor_options.source
    assert source == ("device" if miner.generation.has_asic else "table")


@pytest.mark.parametrize(("board", "generation"), [("601", "2.15"), ("204", "2.12")])
def test_the_second_chip_and_the_regulator_sensor_are_absent_where_there_is_none(poll_one, board, generation):
    """temp2 is -1 without a second chip, vrTemp 0 on boards with an INA260."""
    service, miner = poll_one(generation, board=board)
    exported = service.scrape().of_device(miner.mac)
    assert miner.read_info()["temp2"] == -1
    assert "temperature2_celsius" not in exported
    assert ("vr_temperature_celsius" in exported) == (not miner.board.ina260)
