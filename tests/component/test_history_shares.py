"""Shares count once: across restarts of service and host, deletions, wrong clocks, and in the fleet's sums."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fakes import FakeClock
from history_helpers import MAC, add_device, feed_miss, feed_reading, query_history, store_everything
from testbed import Service

from app.models import Status

Make = Callable[..., Any]


@pytest.fixture
def service(make_service: Make, clock: FakeClock) -> Service:
    service: Service = make_service(clock=clock, auto_listen=False)
    service.clock.advance(3600 - service.clock.now().timestamp() % 3600)
    add_device(service)
    return service


def restart_service(service: Service, make_service: Make) -> Service:
    service.stop()
    again: Service = make_service(clock=service.clock, auto_listen=False)
    again.runtime.fleet.set_monitored(again.runtime.fleet.get_device(MAC), True)
    return again


def feed_shares(service: Service, begin: int, count: int) -> int:
    """Record polls with one more share in each; return the last count."""
    for shares in range(begin + 1, begin + count + 1):
        feed_reading(service, sharesAccepted=shares)
        service.clock.advance(5)
        service.wait_until_idle()
    return begin + count


def sum_shares(service: Service, what: str = MAC, **query: Any) -> float:
    asked = {"metrics": "shares_accepted", "start": "-3d", "points": 100, **query}
    return sum(value or 0 for value in query_history(service, what, **asked)["metrics"]["shares_accepted"]["sum"])


@pytest.mark.parametrize("count", [1000, 16_777_219, 20_000_003, 3_000_000_100])
def test_restart_adds_no_shares_however_many_a_miner_has(service: Service, make_service: Make, count: int) -> None:
    feed_reading(service, sharesAccepted=count)
    for _ in range(3):
        service.clock.advance(5)
        service = restart_service(service, make_service)
        feed_reading(service, sharesAccepted=count)
    assert sum_shares(service) == 0
    feed_reading(service, sharesAccepted=count + 7)
    service.clock.advance(5)
    assert sum_shares(service) == 7


def test_device_that_is_registered_again_counts_no_share_twice(service: Service, make_service: Make) -> None:
    last = feed_shares(service, 0, 50)
    service = restart_service(service, make_service)
    last = feed_shares(service, last, 500)
    service.client.delete(f"/devices/imprint/{MAC}")
    service.clock.advance(600)
    store_everything(service)
    add_device(service)
    feed_shares(service, last, 50)
    assert sum_shares(service) == 600 - 1  # without the first reading, which is the base
    assert sum_shares(service, "fleet") == pytest.approx(599, abs=2)


@pytest.mark.parametrize("behind", [timedelta(seconds=2995), timedelta(days=2)], ids=["stopped", "two days back"])
def test_host_without_a_clock_counts_the_shares_of_its_pause(
    service: Service, make_service: Make, clock: FakeClock, behind: timedelta
) -> None:
    """One share of difficulty 1,000 in 5 s: 859 GH/s."""
    last = feed_shares(service, 0, 720)
    clock.advance(3000)
    clock.shift_time_of_day(-behind)
    service = restart_service(service, make_service)
    last = feed_shares(service, last + 600, 12)
    clock.shift_time_of_day(behind)
    last = feed_shares(service, last, 700)
    hour = service.runtime.fleet.get_device(MAC).derived.proven[1]
    assert hour.rate.estimate == pytest.approx(859, rel=0.02)
    assert sum_shares(service) == last - 1


def test_shares_while_the_clock_is_set_back_count_when_it_is_right(service: Service, clock: FakeClock) -> None:
    last = feed_shares(service, 0, 100)
    clock.shift_time_of_day(-timedelta(seconds=300))
    last = feed_shares(service, last, 30)
    clock.shift_time_of_day(timedelta(seconds=300))
    last = feed_shares(service, last, 10)
    assert sum_shares(service) == last - 1


def test_fleet_has_all_shares_of_its_devices(service: Service, make_service: Make) -> None:
    last = feed_shares(service, 0, 20)
    service.wait_until_idle()
    feed_reading(service, sharesAccepted=last + 70)
    feed_miss(service, status=Status.LOCKED)  # before the next sums
    service.clock.advance(5)
    service.wait_until_idle()
    feed_reading(service, sharesAccepted=last + 90)
    service = restart_service(service, make_service)  # before the next sums, too
    assert sum_shares(service, "fleet") == sum_shares(service) == last + 90 - 1
