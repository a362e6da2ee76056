"""identify, pause and resume of one device: the right one, and what its firmware makes of it."""

import gevent
import pytest

from simulator import GENERATIONS, swap

COMMANDS = {"identify": (2, 12), "pause": (2, 14), "resume": (2, 14)}


def tell(service, miner, command):
    return service.client.post(f"/devices/{miner.mac}/system/{command}")


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_firmware_that_cannot_says_so_in_a_sentence(testbed, generation, command):
    service, (miner,) = testbed(generation)
    response = tell(service, miner, command)
    if miner.generation.is_at_least(*COMMANDS[command]):
        assert response.status_code == 200
        assert response.get_json()["data"]
        assert miner.requests["POST", f"/api/system/{command}"] == 1
    else:
        assert response.status_code == 400
        needed = ".".join(map(str, COMMANDS[command]))
        assert (
            response.get_json()["error"]
            == f"This miner's firmware cannot {command}: that needs AxeOS {needed} or newer"
        )


@pytest.mark.parametrize("fault", ["redirect", "html"])
def test_old_firmware_may_send_to_its_page_instead(testbed, fault):
    """302 to `/` is the captive portal's answer to every path it does not know."""
    service, (miner,) = testbed("2.7")
    miner.set_fault(fault, method="POST")
    response = tell(service, miner, "identify")
    assert response.status_code == (400 if fault == "redirect" else 200)


def test_identify_toggles(testbed):
    service, (miner,) = testbed("2.15")
    assert 'says "Hi!"' in tell(service, miner, "identify").get_json()["data"]
    assert miner.identifying
    assert "no longer" in tell(service, miner, "identify").get_json()["data"]
    assert not miner.identifying


def test_pause_and_resume(testbed):
    service, (miner,) = testbed("2.15")
    answer = tell(service, miner, "pause").get_json()
    assert answer == {"message": "Device paused successfully", "data": "Mining paused"}
    service.round(2)
    assert service.device(miner.mac)["info"]["miningPaused"] is True
    assert tell(service, miner, "resume").get_json()["message"] == "Device resumed successfully"
    service.clock.advance(1)
    service.round(2)
    assert service.device(miner.mac)["info"]["miningPaused"] is False


@pytest.mark.parametrize("command", COMMANDS)
def test_another_miner_at_the_address_gets_nothing_and_the_device_is_looked_for(testbed, command):
    service, (one, other) = testbed("2.15", "2.15", auto_listen=False)
    swap(one, other)
    response = tell(service, one, command)
    assert response.status_code == 409
    assert not other.writes
    assert not one.writes


def test_the_mac_is_read_right_before_on_the_same_connection(testbed):
    service, (miner,) = testbed("2.15")
    connections = miner.connections_accepted
    tell(service, miner, "identify")
    assert [(each.method, each.path) for each in list(miner.request_log.recent)[-2:]] == [
        ("GET", "/api/system/info"),
        ("POST", "/api/system/identify"),
    ]
    assert miner.connections_accepted == connections


@pytest.mark.parametrize("generation", ["2.4", "2.7", "nerd"])
def test_firmware_with_few_sockets_keeps_none_of_ours(testbed, generation):
    service, (miner,) = testbed(generation, rounds=1)
    tell(service, miner, "identify")
    gevent.sleep(0.05)
    assert miner.connections_open == 0


@pytest.mark.parametrize(
    ("fault", "status"), [("hang", 504), ("not_http", 502), ("status_500", 502), ("status_401", 401)]
)
def test_what_the_miner_does_instead_becomes_a_status(testbed, fault, status):
    service, (miner,) = testbed("2.15")
    miner.set_fault(fault, path="/api/system/info", method="GET")
    response = tell(service, miner, "pause")
    assert response.status_code == status
    assert response.get_json()["message"]
    assert not miner.writes


def test_unknown_devices_commands_and_methods(testbed):
    service, (miner,) = testbed("2.15")
    assert service.client.post("/devices/02:00:5e:00:00:99/system/pause").status_code == 404
    assert service.client.post(f"/devices/{miner.mac}/system/explode").status_code == 404
    assert service.client.get(f"/devices/{miner.mac}/system/pause").status_code == 405
    assert service.client.post(f"/devices/{miner.mac.upper()}/system/pause/").status_code == 200


def test_a_busy_miner_is_429_with_a_time(testbed):
    service, (miner,) = testbed("2.15")
    held = service.runtime.miners.at(service.runtime.fleet.get(miner.mac).address)
    with held.slot():
        response = tell(service, miner, "identify")
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) == 5
    assert not miner.writes


@pytest.mark.parametrize("generation", ["2.4", "2.15"])
def test_options_have_the_present_value_among_them_which_limits_nothing(testbed, generation):
    service, (odd, usual) = testbed(
        {"generation": generation, "board": "601", "settings": {"frequency": 606, "coreVoltage": 1111}},
        {"generation": generation, "board": "601"},
    )
    options = service.ok(service.client.get(f"/devices/{odd.mac}/options"))
    assert options["frequencies"] == sorted(options["frequencies"])
    assert (606 in options["frequencies"], 1111 in options["voltages"]) == (True, True)
    assert options["overclock"]["frequency"] == {"min": 200.0, "max": 937.5}
    info = service.device(odd.mac)["info"]
    assert [each["value"] for each in info["frequencyOptions"]] == options["frequencies"]
    assert {"label": "1111", "value": 1111} in info["coreVoltageOptions"]
    assert 606 not in service.ok(service.client.get(f"/devices/{usual.mac}/options"))["frequencies"]
    path = f"/devices/{usual.mac}/system"
    assert service.client.patch(path, json={"info": {"frequency": 606}}).status_code == 400
    assert service.client.patch(f"/devices/{odd.mac}/system", json=service.device(odd.mac)).status_code == 200
    assert not odd.writes


@pytest.mark.parametrize("generation", ["2.4", "2.15"])
def test_options_are_told_without_asking_the_miner(testbed, generation):
    service, (miner,) = testbed(generation)
    asked = sum(miner.requests.values())
    options = service.ok(service.client.get(f"/devices/{miner.mac}/options"))
    assert options["frequencies"] == list(miner.board.chip.frequencies)
    assert options["voltages"] == list(miner.board.chip.voltages)
    assert options["source"] == ("device" if miner.generation.has_asic else "table")
    assert options["overclock"]["unlocked"] is False
    assert sum(miner.requests.values()) == asked
    assert service.client.get("/devices/02:00:5e:00:00:99/options").status_code == 404
