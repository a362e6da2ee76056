"""Fixtures of all tests. gevent patches first: the code under test runs on gevent, as under gunicorn."""

from gevent import monkey

monkey.patch_all()

import gzip
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import hypothesis
import pytest
from canaries import Canaries
from fake_grafana import FakeGrafana
from fakes import FakeClock, find_free_port
from hostile_miner import RawMiner
from processes import SimulatorProcess
from testbed import LOOPBACK, MINER_NETWORK, Service, list_ports

from app.clock import Clock
from app.security.http_server import HttpServer
from app.settings import Settings
from app.store.database import Database
from simulator import Fleet, MinerSpec, Timings, mac_of

# `HYPOTHESIS_PROFILE=soak` tries more examples. No deadline per example: the machine may be busy.
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
    """A list that grows by one item in each iteration of the event loop. It is extended by a watcher: a greenlet that
    yields all the time would keep the loop from looking at sockets and at the store's thread."""
    counted: list[int] = []
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(counted.append, 1)
    yield counted
    watcher.stop()
    watcher.close()


@pytest.fixture
def exit_stack() -> Iterator[ExitStack]:
    """Closes at the end of a test the processes and files that it registered, last first."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def miner_log_rate() -> float:
    """Log lines per second of each of the `miners`."""
    return 2.0


@pytest.fixture
def miners(tmp_path: Path, exit_stack: ExitStack, miner_log_rate: float) -> SimulatorProcess:
    """Twelve miners that are on, in a process of their own."""
    miners = SimulatorProcess(tmp_path, log_rate=miner_log_rate)
    exit_stack.callback(miners.stop)
    miners.wait_until_ready()
    return miners


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Start miners at 127.80.0.1, .2, ..., all on one port.

    Each argument holds the fields of one miner, or is the name of its generation. The neighbour table of `make_service`
    lists them.
    """
    fleets: list[Fleet] = []

    def make(*specs: Any, **options: Any) -> Fleet:
        port = options.pop("port", None) or find_free_port()
        first = options.pop("first", 1)
        options.setdefault("timings", QUICK)
        fleet = Fleet([_make_spec(spec, first + at, port) for at, spec in enumerate(specs)], **options)
        fleets.append(fleet)
        fleet.start()
        fleet.write_neighbour_table(tmp_path / "arp")
        return fleet

    yield make
    for fleet in fleets:
        fleet.stop()


def _make_spec(fields_or_generation: Any, number: int, port: int) -> MinerSpec:
    given = fields_or_generation
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
def web_folder(tmp_path: Path) -> Path:
    """A built web interface, small, in the directory from which `make_service` serves one."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    for name in ("index.html", "docs.html", "assets/index-A1.js", "assets/style-B2.css", "assets/icon-C3.svg"):
        content = f"/* {name} */".encode() * 20
        (folder / name).write_bytes(content)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """`make_service(fleet)`: start the service on the test's data directory, without registered devices.

    Options are settings; `clock=` sets a fake time.
    """
    services: list[Service] = []

    def make(
        fleet: Any = (), *, clock: Any = None, start: bool = True, log_policy: Any = None, **settings: Any
    ) -> Service:
        defaults = {
            "data_dir": tmp_path / "data",
            "poll_interval": 0.5 if clock is None else 5.0,
            "allowed_device_networks": LOOPBACK,
            "discovery_subnets": (MINER_NETWORK,),
            "discovery_ports": list_ports(fleet),
            "neighbour_table": tmp_path / "arp",
            "mdns": False,
            "web_dir": tmp_path / "web",
        }
        service = Service(
            Settings(**{**defaults, **settings}), clock, **({"log_policy": log_policy} if log_policy else {})
        )
        services.append(service)
        return service.start() if start else service

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def testbed(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], clock: FakeClock
) -> Callable[..., Any]:
    """`service, miners = testbed("2.12", "2.4")`: a service with miners of these generations, registered by address and
    polled twice in fake time."""

    def build(*specs: Any, rounds: float = 2, timings: Timings = QUICK, **settings: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*specs, clock=clock.monotonic, timings=timings)
        service = make_service(fleet, clock=clock, **settings)
        if specs:
            service.imprint_miners(*fleet)
        service.run_polls(rounds)
        return service, fleet

    return build


@pytest.fixture
def live_testbed(make_fleet: Callable[..., Fleet], make_service: Callable[..., Service]) -> Callable[..., Any]:
    """`service, miners = live_testbed("2.12", "2.4")`: a service with miners of these generations, registered and
    online, in real time (firmware queues writes)."""

    def build(*specs: Any, **settings: Any) -> tuple[Service, Fleet]:
        fleet = make_fleet(*specs)
        service = make_service(fleet, **settings)
        service.imprint_miners(*fleet)
        if settings.get("auto_listen", True):
            service.wait_for_status("online", *fleet)
        return service, fleet

    return build


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service without miners, in real time."""
    return make_service()


@pytest.fixture
def client(service: Service) -> Any:
    return service.client


@pytest.fixture
def start_server() -> Iterator[Callable[[Service], str]]:
    """`start_server(service)`: start a real HTTP and websocket server for the service; returns its base URL."""
    servers: list[HttpServer] = []

    def start(service: Service) -> str:
        server = HttpServer(("127.0.0.1", 0), service.app, log=None, error_log=None)
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.stop(timeout=0.2)


@pytest.fixture
def served_service(make_service: Callable[..., Service], start_server: Callable[[Service], str]) -> tuple[Service, str]:
    """A service without miners, and the base URL of its HTTP server."""
    service = make_service()
    return service, start_server(service)


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
    """Fail a test in which the service logged a traceback, unless the test clears the records."""
    caplog.set_level(logging.INFO)
    yield
    with_traceback = [record for when in ("setup", "call") for record in caplog.get_records(when) if record.exc_info]
    assert not with_traceback, [
        f"{record.name}: {record.getMessage()} {record.exc_info[1]!r}" for record in with_traceback if record.exc_info
    ]
