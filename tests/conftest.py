"""Shared fixtures. gevent patches the standard library first: the code under test runs on gevent, as under gunicorn."""

from gevent import monkey

monkey.patch_all()

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import hypothesis
import pytest
from canaries import Canaries
from fake_grafana import FakeGrafana
from fakes import FakeClock, free_port
from hostile_miner import RawMiner
from testbed import LOOPBACK, MINER_NETWORK, Service, ports_of

from app.clock import Clock
from app.security.connections import Server
from app.settings import Settings
from app.store.database import Database
from simulator import Fleet, MinerSpec, Timings, mac_of

# `HYPOTHESIS_PROFILE=soak` runs more examples. No deadline per example: the machine may be busy.
hypothesis.settings.register_profile("usual", deadline=None)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

QUICK = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.05, cooling=0.5, resume=0.1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open, empty database."""
    database = Database(tmp_path / "core")
    database.open(Clock())
    yield database
    database.close()


@pytest.fixture
def loop_iterations() -> Iterator[list[int]]:
    """A list that another greenlet extends by one item in each iteration of the event loop."""
    iterations: list[int] = []

    def count_iterations() -> None:
        while True:
            gevent.sleep(0)
            iterations.append(1)

    counter = gevent.spawn(count_iterations)
    gevent.sleep(0)
    yield iterations
    counter.kill()


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Start miners at 127.80.0.1, .2, ..., all on one port, and list them in the neighbour table of `make_service`.
    Each argument holds the fields of one miner, or only the name of its generation."""
    fleets: list[Fleet] = []

    def make(*specs: Any, **options: Any) -> Fleet:
        port = options.pop("port", None) or free_port()
        first = options.pop("first", 1)
        options.setdefault("timings", QUICK)
        fleet = Fleet([_spec(spec, first + at, port) for at, spec in enumerate(specs)], **options)
        fleets.append(fleet)
        fleet.start()
        fleet.write_neighbour_table(tmp_path / "arp")
        return fleet

    yield make
    for fleet in fleets:
        fleet.stop()


def _spec(given: Any, number: int, port: int) -> MinerSpec:
    fields = {"generation": given} if isinstance(given, str) else dict(given)
    boards = {
        "2.1": "0.11",
        "2.4": "204",
        "2.10": "401",
        "nerd": "nerdqaxe+",
        "nerd1.0.36": "nerdqaxe+",
        "nerd1.1": "nerdqaxe+",
    }
    fields.setdefault("board", boards.get(fields.get("generation", ""), "601"))
    fields.setdefault("hostname", f"miner-{number}")
    return MinerSpec(
        **{"mac": mac_of(number), "address": (str(MINER_NETWORK[number]), port), "log_rate": 0.0, **fields}
    )


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`make_service(fleet)` starts the service on this test's data directory, with no device registered. Options are
    settings; `clock=` passes a fake clock."""
    services: list[Service] = []

    def make(
        fleet: Any = (), *, clock: Any = None, start: bool = True, log_policy: Any = None, **given: Any
    ) -> Service:
        fields = {
            "data_dir": tmp_path / "data",
            "poll_interval": 0.5 if clock is None else 5.0,
            "allowed_device_networks": LOOPBACK,
            "discovery_subnets": (MINER_NETWORK,),
            "discovery_ports": ports_of(fleet),
            "neighbour_table": tmp_path / "arp",
            "mdns": False,
        }
        service = Service(Settings(**{**fields, **given}), clock, **({"log_policy": log_policy} if log_policy else {}))
        services.append(service)
        return service.start() if start else service

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def testbed(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], clock: FakeClock
) -> Callable[..., Any]:
    """`service, miners = testbed("2.12", "2.4")`: these miners, registered by address and polled twice in fake time."""

    def build(*specs: Any, rounds: float = 2, timings: Timings = QUICK, **settings: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*specs, clock=clock.monotonic, timings=timings)
        service = make_service(fleet, clock=clock, **settings)
        if specs:
            service.imprint(*fleet)
        service.round(rounds)
        return service, fleet

    return build


@pytest.fixture
def live_testbed(make_fleet: Callable[..., Fleet], make_service: Callable[..., Service]) -> Callable[..., Any]:
    """`service, miners = live_testbed("2.12", "2.4")`: these miners, registered and online, in real time: firmware
    queues its writes."""

    def build(*specs: Any, **given: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*specs)
        service = make_service(fleet, **given)
        service.imprint(*fleet)
        if given.get("auto_listen", True):
            service.await_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A started service without miners, in real time."""
    return make_service()


@pytest.fixture
def client(service: Service) -> Any:
    return service.client


@pytest.fixture
def serve() -> Iterator[Callable[[Service], str]]:
    """`serve(service)` starts a real HTTP and WebSocket server for the service and returns its base URL."""
    servers: list[Server] = []

    def start(service: Service) -> str:
        server = Server(("127.0.0.1", 0), service.app, log=None, error_log=None)
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.stop(timeout=0.2)


@pytest.fixture
def served_service(make_service: Callable[..., Service], serve: Callable[[Service], str]) -> tuple[Service, str]:
    """A service without miners, and the base URL of its HTTP server."""
    service = make_service()
    return service, serve(service)


@pytest.fixture
def raw_miner() -> Iterator[RawMiner]:
    """A miner at 02:00:5e:00:00:77 whose answers the test chooses byte by byte."""
    with RawMiner("02:00:5e:00:00:77") as miner:
        yield miner


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    """A fake Grafana that the service reaches through its API."""
    fake = FakeGrafana().start()
    yield fake
    fake.stop()


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(autouse=True)
def no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test if the service logs a traceback. A test that expects one clears its log records."""
    caplog.set_level(logging.INFO)
    yield
    tracebacks = [record for when in ("setup", "call") for record in caplog.get_records(when) if record.exc_info]
    assert not tracebacks, [
        f"{record.name}: {record.getMessage()} {record.exc_info[1]!r}" for record in tracebacks if record.exc_info
    ]
