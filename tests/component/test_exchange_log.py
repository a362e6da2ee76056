"""The DEBUG lines about exchanges with devices."""

import logging

import pytest
from fakes import wait_until
from write_helpers import patch_system

LOGGER = "app.miners.exchange_log"


def exchanges(caplog, miner):
    return [record for record in caplog.records if record.name == LOGGER and record.mac == miner.mac]


def test_each_exchange_of_polls_and_writes_is_logged_with_its_outcome(live_testbed, caplog):
    caplog.set_level(logging.DEBUG)
    service, (miner,) = live_testbed("2.12")
    assert patch_system(service, miner, info={"frequency": 490}).status_code == 200
    lines = {record.operation: record for record in exchanges(caplog, miner)}
    assert lines.keys() >= {"GET /api/system/info", "GET /api/system/asic", "PATCH /api/system"}
    for record in lines.values():
        assert record.getMessage() == "device exchange"
        assert (record.outcome, record.address, record.duration_ms >= 0) == ("status 200", miner.address, True)
    (written,) = [record for record in caplog.records if record.getMessage() == "settings written"]
    assert (written.mac, written.outcome, written.results) == (miner.mac, "sent", {"frequency": "applied"})


@pytest.mark.parametrize(("fault", "outcome"), [("refuse", "unreachable"), ("reset", "dropped")])
def test_failed_exchanges_are_logged_with_their_reason(testbed, caplog, fault, outcome):
    caplog.set_level(logging.DEBUG)
    service, (miner,) = testbed("2.12")
    caplog.clear()
    if fault == "refuse":
        miner.power_off()
    else:
        miner.fault = fault
    service.run_polls()
    wait_until(lambda: exchanges(caplog, miner))
    assert exchanges(caplog, miner)[-1].outcome == outcome
    failed = [record for record in caplog.records if record.getMessage() == "poll failed"]
    assert (failed[-1].mac, failed[-1].outcome) == (miner.mac, outcome)


def test_no_exchange_is_logged_above_debug(testbed, caplog):
    caplog.set_level(logging.INFO)
    service, (miner,) = testbed("2.12")
    service.run_polls(2)
    assert service.count_observations(miner.mac) >= 2
    assert not exchanges(caplog, miner)
