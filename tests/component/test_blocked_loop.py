"""What could hold up every poll at once: a look-up of a name, or anything else that does not let go of the loop."""

from __future__ import annotations

import gevent
import pytest
from fakes import eventually
from gevent import monkey
from gevent.resolver.thread import Resolver
from testbed import Service


class CountingResolver(Resolver):
    """Notes who asks for a name; answers as the real one."""

    def __init__(self, hub) -> None:
        super().__init__(hub)
        self.asked = []

    def getaddrinfo(self, *arguments, **options):
        self.asked.append(arguments)
        return super().getaddrinfo(*arguments, **options)

    def gethostbyname(self, *arguments):
        self.asked.append(arguments)
        return super().gethostbyname(*arguments)


@pytest.fixture
def resolver():
    hub = gevent.get_hub()
    before, hub.resolver = hub.resolver, CountingResolver(hub)
    yield hub.resolver
    hub.resolver = before


def test_no_name_is_looked_up_on_the_way_to_a_miner(live_testbed, resolver: CountingResolver) -> None:
    """Polls, /asic, a write with its reading back, a restart, a log stream and a scan: addresses, never names."""
    service, fleet = live_testbed("2.12", "2.4", "nerd")
    for miner in fleet:
        eventually(lambda: service.observed(miner.mac) >= 2)  # noqa: B023
    mac = fleet[0].mac
    body = {"info": {"autofanspeed": 0, "manualFanSpeed": 77}}
    assert service.client.patch(f"/devices/{mac}/system", json=body).status_code == 200
    assert service.client.put("/devices/listen", json={"macs": [mac], "traceLogs": True}).status_code == 200
    eventually(lambda: fleet[0].requests["GET", "/api/ws"])
    assert service.client.post(f"/devices/{mac}/system/restart").status_code == 200
    assert service.client.get("/devices/discover").status_code == 200
    assert resolver.asked == []


def test_the_resolver_would_have_noticed(resolver: CountingResolver) -> None:
    gevent.socket.getaddrinfo("localhost", 80)
    assert len(resolver.asked) == 1


def test_a_loop_that_is_held_up_shows_in_metrics_and_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    gevent.sleep(0)
    monkey.get_original("time", "sleep")(2.1)
    eventually(lambda: any("event loop was blocked" in record.getMessage() for record in caplog.records))
    scrape = service.scrape()
    longer = scrape.get_one("pluto_loop_lag_seconds_count") - scrape.get_one("pluto_loop_lag_seconds_bucket", le="1.0")
    assert longer == 1
