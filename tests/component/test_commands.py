"""The commands identify, pause and resume of one device, on each firmware."""

import gevent
import pytest

from simulator import GENERATIONS, swap

COMMANDS = {"identify": (2, 12), "pause": (2, 14), "resume": (2, 14)}


def send_command(service, miner, command):
    return service.client.post(f"/devices/{miner.mac}/system/{command}")


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_command_on_each_firmware_succeeds_or_names_required_version(testbed, generation, command):
    service, (miner,) = testbed(generation)
    response = send_command(service, miner, command)
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
def test_command_on_firmware_that_answers_with_redirect_or_page(testbed, fault):
    """A redirect to `/` is the captive portal's answer to every unknown path."""
    service, (miner,) = testbed("2.7")
    miner.set_fault(fault, method="POST")
    response = send_command(service, miner, "identify")
    assert response.status_code == (400 if fault == "redirect" else 200)


def test_identify_command_toggles(testbed):
    service, (miner,) = testbed("2.15")
    assert 'says "Hi!"' in send_command(service, miner, "identify").get_json()["data"]
    assert miner.identifying
    assert "no longer" in send_command(service, miner, "identify").get_json()["data"]
    assert not miner.identifying


def test_pause_and_resume_commands(testbed):
    service, (miner,) = testbed("2.15")
    body = send_command(service, miner, "pause").get_json()
    assert body == {"message": "Device paused successfully", "data": "Mining paused"}
    service.run_polls(2)
    assert service.get_device(miner.mac)["info"]["miningPaused"] is True
    assert send_command(service, miner, "resume").get_json()["message"] == "Device resumed successfully"
    service.clock.advance(1)
    service.run_polls(2)
    assert service.get_device(miner.mac)["info"]["miningPaused"] is False


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_not_sent_to_another_miner_at_the_address(testbed, command):
    service, (one, other) = testbed("2.15", "2.15", auto_listen=False)
    swap(one, other)
    response = send_command(service, one, command)
    assert response.status_code == 409
    assert not other.writes
    assert not one.writes


def test_command_verifies_mac_first_on_same_connection(testbed):
    service, (miner,) = testbed("2.15")
    connections = miner.connections_accepted
    send_command(service, miner, "identify")
    assert [(each.method, each.path) for each in list(miner.request_log.recent)[-2:]] == [
        ("GET", "/api/system/info"),
        ("POST", "/api/system/identify"),
    ]
    assert miner.connections_accepted == connections


@pytest.mark.parametrize("generation", ["2.4", "2.7", "nerd"])
def test_connection_is_closed_on_firmware_with_few_sockets(testbed, generation):
    service, (miner,) = testbed(generation, rounds=1)
    send_command(service, miner, "identify")
    gevent.sleep(0.05)
    assert miner.connections_open == 0


@pytest.mark.parametrize(
    ("fault", "status"), [("hang", 504), ("not_http", 502), ("status_500", 502), ("status_401", 401)]
)
def test_failed_command_is_mapped_to_http_status(testbed, fault, status):
    service, (miner,) = testbed("2.15")
    miner.set_fault(fault, path="/api/system/info", method="GET")
    response = send_command(service, miner, "pause")
    assert response.status_code == status
    assert response.get_json()["message"]
    assert not miner.writes


def test_unknown_device_command_or_method_is_rejected(testbed):
    service, (miner,) = testbed("2.15")
    assert service.client.post("/devices/02:00:5e:00:00:99/system/pause").status_code == 404
    assert service.client.post(f"/devices/{miner.mac}/system/explode").status_code == 404
    assert service.client.get(f"/devices/{miner.mac}/system/pause").status_code == 405
    assert service.client.post(f"/devices/{miner.mac.upper()}/system/pause/").status_code == 200


def test_command_to_busy_miner_returns_429_with_retry_after(testbed):
    service, (miner,) = testbed("2.15")
    held = service.runtime.miners.get_miner(service.runtime.fleet.get_device(miner.mac).address)
    with held.lock():
        response = send_command(service, miner, "identify")
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) == 5
    assert not miner.writes


@pytest.mark.parametrize("generation", ["2.4", "2.15"])
def test_options_include_present_value_without_widening_limits(testbed, generation):
    service, (custom, default) = testbed(
        {"generation": generation, "board": "601", "settings": {"frequency": 606, "coreVoltage": 1111}},
        {"generation": generation, "board": "601"},
    )
    options = service.read_data(service.client.get(f"/devices/{custom.mac}/options"))
    assert options["frequencies"] == sorted(options["frequencies"])
    assert (606 in options["frequencies"], 1111 in options["voltages"]) == (True, True)
    assert options["overclock"]["frequency"] == {"min": 200.0, "max": 937.5}
    info = service.get_device(custom.mac)["info"]
    assert [each["value"] for each in info["frequencyOptions"]] == options["frequencies"]
    assert {"label": "1111", "value": 1111} in info["coreVoltageOptions"]
    assert 606 not in service.read_data(service.client.get(f"/devices/{default.mac}/options"))["frequencies"]
    path = f"/devices/{default.mac}/system"
    assert service.client.patch(path, json={"info": {"frequency": 606}}).status_code == 400
    assert service.client.patch(f"/devices/{custom.mac}/system", json=service.get_device(custom.mac)).status_code == 200
    assert not custom.writes


@pytest.mark.parametrize("generation", ["2.4", "2.15"])
def test_options_are_served_without_request_to_miner(testbed, generation):
    service, (miner,) = testbed(generation)
    requests_before = sum(miner.requests.values())
    options = service.read_data(service.client.get(f"/devices/{miner.mac}/options"))
    assert options["frequencies"] == list(miner.board.chip.frequencies)
    assert options["voltages"] == list(miner.board.chip.voltages)
    assert options["source"] == ("device" if miner.generation.has_asic else "table")
    assert options["overclock"]["unlocked"] is False
    assert sum(miner.requests.values()) == requests_before
    assert service.client.get("/devices/02:00:5e:00:00:99/options").status_code == 404
