"""The one place that names concrete classes: who is made of what, in which order they start, and that they stop."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import gevent
from prometheus_client import CollectorRegistry

from app.clients.discovery_service import DiscoveryServiceClient
from app.clients.grafana import GrafanaClient, authentication
from app.clients.names import NameResolver
from app.clock import Clock
from app.events import DeviceDeleted, EventBus, Stopping
from app.miners.address import NOWHERE, Address, AddressRule
from app.miners.client import Miners
from app.miners.log_stream import LogStream
from app.miners.redaction import clean_info
from app.models import Reading, Status
from app.schemas.device import DeviceEncoder
from app.services.backup import Backups
from app.services.builtin_discovery import BuiltinDiscovery
from app.services.commands import Commands
from app.services.conflicts import Conflicts
from app.services.dashboards.delivery import ApiDelivery, Delivery, FileDelivery
from app.services.dashboards.publisher import Publisher
from app.services.dashboards.records import Boards
from app.services.dashboards.service import Dashboards
from app.services.dashboards.templates import Templates
from app.services.devices import DeviceService
from app.services.discovery import DiscoveryService, DiscoverySource
from app.services.drift import DriftService
from app.services.external_discovery import ExternalDiscovery
from app.services.fleet import Fleet, Tracked
from app.services.health import Health
from app.services.intents import Intents
from app.services.jobs.hands import Hands
from app.services.jobs.service import Jobs
from app.services.jobs.store import JobStore
from app.services.journal import Journal
from app.services.locator import Locator
from app.services.logs.device_log import DeviceLog
from app.services.logs.doorway import Doorway
from app.services.logs.figures import log_families
from app.services.logs.files import LogFiles
from app.services.logs.hub import LogHub
from app.services.logs.past import PastLogs
from app.services.logs.policy import LogPolicy, State
from app.services.logs.reader import Reader
from app.services.logs.service import LogService
from app.services.loop_lag import LoopLag
from app.services.mdns import MdnsBrowser
from app.services.metrics import Metrics
from app.services.monitoring import Monitoring
from app.services.neighbours import NeighbourTable
from app.services.poller import Poller
from app.services.presets import Presets
from app.services.relocation import Relocation
from app.services.repair import RepairService
from app.services.scanner import Scanner
from app.services.settings import MinerSettings
from app.services.sightings import Sightings
from app.services.subnets import WIDEST_PREFIX, around, default_subnets, own_addresses
from app.services.system_settings import SystemSettings
from app.services.witness import Witness
from app.services.write_behind import WriteBehind
from app.settings import Settings, read_secret
from app.store.devices import DeviceRepository
from app.store.discovered import DiscoveredRepository
from app.store.documents import Documents
from app.store.presets import PresetRepository
from app.store.stores import Stores

log = logging.getLogger(__name__)


class Runtime:
    """Everything that lives as long as the process serves. Making it starts nothing."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        log_policy: LogPolicy | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.events = EventBus()
        self.registry = CollectorRegistry()
        self.health = Health(self.registry)
        self.loop_lag = LoopLag(self.health.lagged, Clock())
        self.encoder = DeviceEncoder()
        self._make_fleet(chance)
        self._make_discovery()
        self.devices = DeviceService(
            self.fleet,
            self.monitoring,
            self.rule,
            self.discovery.lookup,
            self.conflicts,
            self.events,
            self.clock,
            auto_listen=settings.auto_listen,
        )
        self._make_settings()
        self._make_jobs()
        self._make_logs(log_policy or LogPolicy(), chance)
        self.relocation = Relocation(
            self.fleet,
            self.monitoring,
            self.conflicts,
            Witness(self.miners.probe, self.poller.neighbour),
            self.discovery.locate,
            self._subnets_for,
            self.events,
            self.clock,
            partial(self.health.loop_crashed, "relocation"),
        )
        self.metrics = Metrics(
            self.fleet,
            self.registry,
            self.events,
            self.clock,
            legacy=settings.metrics_legacy_names,
            also=lambda: log_families(self.log_hub, self.log_files, self.fleet),
        )
        self.write_behind = WriteBehind(
            self.fleet,
            self.stores,
            self.clock,
            settings.persist_interval,
            partial(self.health.loop_crashed, "write_behind"),
        )
        self.backups = Backups(self.stores, self.clock)
        self.dashboards = self._make_dashboards(settings.gf_host, chance) if settings.gf_host else None
        if settings.delete_data_on_device_remove:
            self.events.subscribe(DeviceDeleted, lambda event: self.discovery.forget(event.mac))

    def _make_fleet(self, chance: Callable[[], float]) -> None:
        settings = self.settings
        self.stores = Stores(settings.data_dir, discovery=not settings.discovery_service_host)
        self.database = self.stores.core
        self.health.watch_store(lambda: self.stores.writes, lambda: self.stores.writable)
        self.rule = AddressRule(settings.allowed_device_networks, settings.discovery_ports)
        self.miners = Miners(self.rule.check, self.clock)
        self.fleet = Fleet(DeviceRepository(self.database, clean_info), self.clock)
        self.neighbours = NeighbourTable(settings.neighbour_table, self.clock)
        self.conflicts = Conflicts(self.fleet, Documents(self.database, "conflict"), self.events, self.clock)
        self.poller = Poller(
            self.fleet,
            self.neighbours,
            self.conflicts,
            self.events,
            self.health,
            self.clock,
            interval=settings.poll_interval,
            offline_after=settings.offline_after_failures,
        )
        self.monitoring = Monitoring(
            self.fleet,
            self.poller,
            self.miners.at,
            self.events,
            self.health,
            self.clock,
            settings.poll_interval,
            chance,
        )

    def _make_settings(self) -> None:
        """What changes miners. A deleted device leaves no trace of what was written to it."""
        self.commands = Commands(self.fleet, self.miners.at, self.poller, self.events, self.clock)
        self.journal = Journal(Documents(self.database, "journal"), self.clock)
        self.intents = Intents(Documents(self.database, "intent"))
        self.miner_settings = MinerSettings(
            self.fleet, self.commands, self.poller, self.journal, self.intents, self.events, self.clock
        )
        self.presets = Presets(PresetRepository(self.database), self.fleet, self.clock)
        self.system_settings = SystemSettings(self.fleet, self.miner_settings, self.presets, self.intents, self.journal)
        self.events.subscribe(DeviceDeleted, lambda event: self.journal.forget(event.mac))
        self.events.subscribe(DeviceDeleted, lambda event: self.intents.forget(event.mac))

    def _make_jobs(self) -> None:
        """What changes many miners, and what is done about those that somebody else changed."""
        hands = Hands(self.fleet, self.commands, self.miner_settings, self.presets, self.intents, self.journal)
        store = JobStore(Documents(self.database, "jobs"))
        self.jobs = Jobs(store, self.fleet, hands, self.events, self.clock)
        self.drift = DriftService(
            self.fleet, self.intents, self.journal, Documents(self.database, "drift"), self.events
        )
        self.repair = RepairService(
            self.fleet,
            self.drift,
            self.intents,
            self.presets,
            Documents(self.database, "repairs"),
            self.jobs.create,
            self.events,
            self.clock,
            by_itself=self.settings.auto_repair,
        )

    def _make_logs(self, policy: LogPolicy, chance: Callable[[], float]) -> None:
        """What miners say, for whoever wants to hear it."""
        settings, doorway = self.settings, Doorway(self.commands)

        def connect(address: Address) -> LogStream:
            return LogStream(address, self.rule.check, self.clock, policy.stream, chance)

        def reader(tracked: Tracked, device_log: DeviceLog) -> Reader:
            return Reader(tracked, device_log, self.fleet, doorway.verify, connect, self.clock, policy, chance)

        def is_streaming(mac: str) -> bool:
            known = self.log_hub.reader_of(mac)
            return known is not None and known.state is State.STREAMING

        self.log_hub = LogHub(self.fleet, reader, self.events, self.clock, policy.linger, files=settings.log_files)
        past = PastLogs(doorway.past, is_streaming, self.clock)
        self.logs = LogService(self.log_hub, past, self.devices.get, self.clock)
        self.log_files = LogFiles(
            settings.data_dir / "logs",
            settings.log_file_megabytes * 1024 * 1024,
            settings.log_file_backups,
            self.log_hub.logs,
            self.clock,
            partial(self.health.loop_crashed, "log_files"),
        )
        self.events.subscribe(DeviceDeleted, lambda event: past.forget(event.mac))
        forget = self.log_files.delete if settings.delete_data_on_device_remove else self.log_files.forget
        self.events.subscribe(DeviceDeleted, lambda event: forget(event.mac))

    def _make_discovery(self) -> None:
        """The original's discovery service where one is configured (it holds the lock on `pluto_discovery`), ours
        otherwise."""
        settings = self.settings
        scanner = Scanner(self.miners.probe, self.rule, self.clock, known=self._known)
        url = settings.discovery_service_host
        repository = DiscoveredRepository(self.stores.discovery, clean_info) if self.stores.discovery else None
        sightings = Sightings(self.neighbours, repository, self.events)
        source: DiscoverySource
        if url:
            source = ExternalDiscovery(DiscoveryServiceClient(url, self.rule, clean_info), scanner, sightings)
        else:
            assert repository  # noqa: S101
            source = BuiltinDiscovery(
                scanner,
                sightings,
                repository,
                self.rule,
                self.clock,
                self._subnets,
                settings.discovery_ports,
                settings.discovery_ttl,
                self._browser if settings.mdns else None,
            )

        def remembered(mac: str) -> list[Address]:
            tracked = self.fleet.find(mac)
            recorded = [tracked.address] if tracked and tracked.address != NOWHERE else []
            return [*recorded, *source.addresses_of(mac)]

        locator = Locator(scanner, self.neighbours, sightings, remembered, settings.discovery_ports)
        self.discovery = DiscoveryService(source, locator, NameResolver(self.rule).resolve)

    def _make_dashboards(self, url: str, chance: Callable[[], float]) -> Dashboards:
        """With a login of its own the service uses Grafana's API; without one, files and a header, as the original."""
        settings = self.settings
        token = read_secret(settings.grafana_token, settings.grafana_token_file)
        password = read_secret(settings.grafana_password, settings.grafana_password_file)
        grafana = GrafanaClient(url, authentication(token, settings.grafana_user, password))
        mode = settings.grafana_mode or ("api" if token or password else "file")
        delivery: Delivery = (
            ApiDelivery(grafana, self.clock.monotonic)
            if mode == "api"
            else FileDelivery(settings.grafana_dashboards_dir)
        )
        boards = Boards(Documents(self.database, "dashboards"))
        return Dashboards(
            boards,
            Publisher(grafana, delivery, Templates(), boards, publish=settings.publish_dashboards),
            lambda mac: self.fleet.find(mac) is not None,
            self.events,
            self.health,
            self.clock,
            chance,
            delete_with_device=settings.delete_data_on_device_remove,
        )

    def start(self) -> None:
        """Opens the store, then begins to watch. After fork only: LevelDB's threads do not survive one."""
        self.stores.open(self.clock)
        for repair in self.stores.repairs:
            self.health.store_repaired(repair.recovered)
        self.loop_lag.start()
        self.fleet.load()
        self.conflicts.load()
        self.presets.load()
        self.intents.load()
        self.drift.load()
        self.discovery.start()
        self.relocation.start()
        self.write_behind.start()
        if self.dashboards:
            self.dashboards.start()
        if self.settings.log_files:
            self.log_files.start()
        self.devices.start()
        self.jobs.start()
        log.info("started", extra={"devices": len(self.fleet), "monitored": len(self.fleet.monitored())})

    def stop(self) -> None:
        """Nothing is asked of a miner, written or published after this; the last readings are on disk. Callers are
        answered first, for they need the rest."""
        _together(self.log_hub.stop, lambda: self.events.publish(Stopping()))
        _together(
            self.jobs.stop,
            self.relocation.stop,
            self.monitoring.stop,
            self.log_files.stop,
            self.discovery.stop,
            *([self.dashboards.stop] if self.dashboards else []),
        )
        self.write_behind.stop()
        self.loop_lag.stop()
        self.stores.close()
        log.info("stopped")

    def readiness(self) -> dict[str, bool]:
        return {"store": self.stores.is_open and self.stores.is_in_place, "loops": self.monitoring.healthy}

    def _known(self, address: Address) -> Reading | None:
        """What a monitored miner said seconds ago, so that a scan need not ask it again."""
        tracked = self.fleet.at(address)
        if tracked and tracked.reading and tracked.observation.status is Status.ONLINE:
            return replace(tracked.reading, is_cached=True)
        return None

    def _subnets(self) -> tuple[IPv4Network, ...]:
        return self.settings.discovery_subnets or default_subnets()

    def _subnets_for(self, address: Address) -> tuple[IPv4Network, ...]:
        """The networks in which a miner that left this address is looked for: all that are scanned, and the /24 around
        it unless a small one of them holds it."""
        subnets, ip = self._subnets(), IPv4Address(address.host)
        if address == NOWHERE or any(ip in subnet and subnet.prefixlen >= WIDEST_PREFIX for subnet in subnets):
            return subnets
        return (around(address.host), *subnets)

    def _browser(self, found: Callable[[Address], None]) -> MdnsBrowser:
        named = self.settings.mdns_interfaces
        return MdnsBrowser(found, lambda: named or [str(own.ip) for own in own_addresses()])


def _together(*stops: Callable[[], object]) -> None:
    """Each may take its second; one after the other they would take longer than gunicorn waits. None keeps another from
    stopping: what goes wrong is on stderr."""
    gevent.joinall([gevent.spawn(stop) for stop in stops])
