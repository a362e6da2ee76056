"""GET /devices/:mac/settings, and writes of what it offers."""

import pytest


@pytest.mark.parametrize("generation", ["2.4", "2.12", "2.15", "nerd"])
def test_offered_values_are_accepted_by_the_miner(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    path = f"/devices/{miner.mac}"
    answer = service.client.get(f"{path}/settings").get_json()
    form = {field["key"]: field for field in answer["data"]}
    assert answer["overclock"]["unlocked"] is False
    assert {"frequency", "coreVoltage", "stratumURL", "stratumPassword", "hostname"} <= form.keys()
    assert form["frequency"]["value"] in form["frequency"]["options"]
    assert (form["frequency"]["unit"], form["frequency"]["type"]) == ("MHz", "choice")
    assert not any("value" in field for field in form.values() if field["type"] == "secret")
    other = next(value for value in form["frequency"]["options"] if value != form["frequency"]["value"])
    changed = service.client.patch(f"{path}/system", json={"info": {"frequency": other}}).get_json()
    assert [(row["key"], row["status"]) for row in changed["changes"]] == [("frequency", "applied")]
    again = service.read_data(service.client.get(f"{path}/settings"))
    assert next(field["value"] for field in again if field["key"] == "frequency") == other


def test_unknown_device_is_not_found(client):
    assert client.get("/devices/02:00:5e:00:00:01/settings").status_code == 404


def test_device_that_was_never_read_has_no_settings(service):
    service.client.put("/devices/imprint", json={"devices": [{"mac": "02:00:5e:00:00:01", "ip": "127.80.0.9"}]})
    assert service.read_data(service.client.get("/devices/02:00:5e:00:00:01/settings")) == []
