"""Requests to miners do no DNS lookups, and a blocked event loop is reported in the metrics and in the log."""

from __future__ import annotations

import gevent
import pytest
from fakes import wait_until
from gevent import monkey
from gevent.resolver.thread import Resolver
from testbed import Service


class CountingResolver(Resolver):
    """Record each lookup; answer like the real resolver."""

    def __init__(self, hub) -> None:
        super().__init__(hub)
        self.lookups = []

    def getaddrinfo(self, *arguments, **options):
        self.lookups.append(arguments)
        return super().getaddrinfo(*arguments, **options)

    def gethostbyname(self, *arguments):
        self.lookups.append(arguments)
        return super().gethostbyname(*arguments)


@pytest.fixture
def resolver():
    """Replace gevent's resolver by one that records lookups."""
    hub = gevent.get_hub()
    before, hub.resolver = hub.resolver, CountingResolver(hub)
    yield hub.resolver
    hub.resolver = before


def test_requests_to_miners_do_no_dns_lookups(live_testbed, resolver: CountingResolver) -> None:
    """Poll, read /asic, write a setting and verify it, restart, stream logs and scan: all by address."""
    service, fleet = live_testbed("2.12", "2.4", "nerd")
    for miner in fleet:
        wait_until(lambda: service.count_observations(miner.mac) >= 2)  # noqa: B023
    mac = fleet[0].mac
    body = {"info": {"autofanspeed": 0, "manualFanSpeed": 77}}
    assert service.client.patch(f"/devices/{mac}/system", json=body).status_code == 200
    assert service.client.put("/devices/listen", json={"macs": [mac], "traceLogs": True}).status_code == 200
    wait_until(lambda: fleet[0].requests["GET", "/api/ws"])
    assert service.client.post(f"/devices/{mac}/system/restart").status_code == 200
    assert service.client.get("/devices/discover").status_code == 200
    assert resolver.lookups == []


def test_counting_resolver_records_lookups(resolver: CountingResolver) -> None:
    gevent.socket.getaddrinfo("localhost", 80)
    assert len(resolver.lookups) == 1


def test_blocked_event_loop_is_reported_in_metrics_and_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    gevent.sleep(0)
    monkey.get_original("time", "sleep")(2.1)
    wait_until(lambda: any("event loop was blocked" in record.getMessage() for record in caplog.records))
    scrape = service.scrape_metrics()
    longer = scrape.get_value("pluto_loop_lag_seconds_count") - scrape.get_value(
        "pluto_loop_lag_seconds_bucket", le="1.0"
    )
    assert longer == 1
