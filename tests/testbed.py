"""The service, started in the test process, with the requests that tests send to it, and parsed /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network
from typing import Any

import gevent
from fakes import FakeClock, wait_until
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from app.application import create_app
from app.clock import Clock
from app.events import DeviceFailed, DeviceObserved, DeviceRemoved
from app.settings import Settings
from simulator import Miner

MINER_NETWORK = IPv4Network("127.80.0.0/27")
LOOPBACK = (IPv4Network("127.0.0.0/8"),)


class Scrape(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """One scrape of /metrics: (name, labels) → value. Fails if the text does not parse or a series is there twice."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types: dict[str, str] = {}
        for family in text_string_to_metric_families(text):
            self.types[family.name] = family.type
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self, f"duplicate series: {key}"
                self[key] = sample.value

    def get_value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only series with at least these labels; None when there is none."""
        values = [
            value for (each, given), value in self.items() if each == name and labels.items() <= dict(given).items()
        ]
        assert len(values) < 2, f"{len(values)} series of {name} {labels}"
        return values[0] if values else None

    def get_device_values(self, mac: str) -> dict[str, float]:
        """Return the values of `pluto_device_*` for one MAC, by the rest of the name."""
        start = "pluto_device_"
        return {
            name.removeprefix(start): value
            for (name, given), value in self.items()
            if name.startswith(start) and dict(given).get("mac") == mac
        }

    def list_names(self) -> set[str]:
        return {name for name, _ in self}

    def list_labels(self, name: str) -> list[dict[str, str]]:
        return [dict(given) for each, given in self if each == name]


class Service:
    """The application, its runtime and a client. `events`: the published events as (kind, MAC)."""

    def __init__(self, settings: Settings, clock: Clock | None = None, **more: Any) -> None:
        self.settings = settings
        self.app = create_app(settings, **({"clock": clock} if clock else {}), **more)
        self.runtime = self.app.extensions["pluto"]
        self.clock: Any = self.runtime.clock
        self.client: FlaskClient = self.app.test_client()
        self.events: list[tuple[str, str]] = []
        for kind in (DeviceObserved, DeviceFailed):
            self.runtime.events.subscribe(kind, self._make_recorder(kind.__name__, lambda event: event.tracked.mac))
        self.runtime.events.subscribe(DeviceRemoved, self._make_recorder("DeviceRemoved", lambda event: event.mac))
        self._running = False

    def _make_recorder(self, name: str, mac_of: Callable[[Any], str]) -> Callable[[Any], None]:
        return lambda event: self.events.append((name, mac_of(event)))

    def start(self) -> Service:
        self.runtime.start()
        self._running = True
        return self

    def stop(self) -> None:
        if self._running:
            self._running = False
            self.runtime.stop()

    def imprint_miners(self, *miners: Miner) -> list[dict[str, Any]]:
        """Register the miners by MAC and address, without a scan."""
        devices = [{"mac": miner.mac, "ip": miner.address} for miner in miners]
        return self.read_data(self.client.put("/devices/imprint", json={"devices": devices}))

    def read_data(self, response: TestResponse) -> Any:
        """Return the payload of a successful response. Fail for any other status."""
        assert response.status_code == 200, response.get_data(as_text=True)
        body = response.get_json()
        return body["data"] if isinstance(body, dict) else body

    def get_device(self, mac: str) -> dict[str, Any]:
        return self.read_data(self.client.get(f"/devices/imprint/{mac}"))

    def list_devices(self) -> list[dict[str, Any]]:
        return self.read_data(self.client.get("/devices/imprint"))

    def get_status(self, mac: str) -> str:
        return str(self.get_device(mac)["status"])

    def scrape_metrics(self) -> Scrape:
        return Scrape(self.client.get("/metrics").get_data(as_text=True))

    def count_observations(self, mac: str) -> int:
        """Return how many successful polls of the device were published."""
        return self.events.count(("DeviceObserved", mac))

    # With a FakeClock.

    def run_polls(self, rounds: float = 1, steps: int = 1) -> None:
        """Advance the fake time by so many poll intervals, in `steps` per interval.

        All polls that become due, and the work that follows from them, are finished at the end.
        """
        for _ in range(round(rounds * steps)):
            self.wait_until_idle()
            self.clock.advance(self.settings.poll_interval / steps)
            self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until all greenlets wait for a time or an event in the future."""
        assert isinstance(self.clock, FakeClock)
        gevent.sleep(0)
        gevent.sleep(0)
        wait_until(lambda: self.clock.is_idle, 15)

    # With the real one.

    def wait_for_status(self, status: str, *miners: Miner | str, within: float = 10.0) -> None:
        macs = [miner if isinstance(miner, str) else miner.mac for miner in miners]
        wait_until(lambda: all(self.get_status(mac) == status for mac in macs), within)


def list_ports(miners: Iterable[Miner]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(miner.server.address[1] for miner in miners)) or (80,)
