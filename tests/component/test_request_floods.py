"""Clients in another process that send requests without waiting for responses delay neither other clients nor polls."""

import time

import gevent
import pytest
import requests
from fakes import wait_until
from flood_peer import CLIENTS
from floods import probe_loop, start_flood_client

MODES = sorted(mode for mode in CLIENTS if mode.startswith("pipeline"))


@pytest.mark.parametrize("mode", MODES)
def test_pipelining_client_does_not_delay_others(live_testbed, start_server, mode):
    service, (miner,) = live_testbed("2.12")
    url = start_server(service)
    requests.get(f"{url}/healthz", timeout=5)
    with start_flood_client(mode, *url.removeprefix("http://").split(":")):
        gevent.sleep(0.3)  # the flood has begun
        observed = service.count_observations(miner.mac)
        with probe_loop() as probe:
            waits = [measure_healthz_seconds(url) for _ in range(15)]
            wait_until(lambda: service.count_observations(miner.mac) >= observed + 3)
    assert probe.longest_block <= 0.05
    assert probe.memory_growth <= 20 * 2**20
    assert sorted(waits)[-2] <= 0.1  # one wait may be caused by another process on this machine


def measure_healthz_seconds(url):
    began = time.monotonic()
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    gevent.sleep(0.05)
    return time.monotonic() - began - 0.05


def test_pipelining_client_without_token_does_not_delay_others(make_service, start_server):
    url = start_server(make_service(api_token="control-" * 4))
    with start_flood_client("pipeline-not-found", *url.removeprefix("http://").split(":")):
        gevent.sleep(0.3)
        with probe_loop() as probe:
            waits = [measure_healthz_seconds(url) for _ in range(15)]
    assert probe.longest_block <= 0.05
    assert sorted(waits)[-2] <= 0.1
