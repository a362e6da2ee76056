"""Construction of all services, and the order in which they start and stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import gevent
from prometheus_client import CollectorRegistry

from app.clients.discovery_service import DiscoveryServiceClient
from app.clients.grafana import GrafanaClient, choose_auth
from app.clients.name_resolver import NameResolver
from app.clients.prometheus import PrometheusClient
from app.clock import Clock
from app.events import EventBus, Stopping
from app.miners.address import UNUSABLE_ADDRESS, Address, AddressRule
from app.miners.cleaning import clean_info
from app.miners.device_client import MinerRegistry
from app.miners.log_stream import LogStream
from app.models import Reading, Status
from app.schemas.device import DeviceEncoder
from app.services.backups import BackupService
from app.services.configuration.applied_presets import AppliedPresets
from app.services.configuration.commands import Commands
from app.services.configuration.desired_state import DesiredStates
from app.services.configuration.drift import DriftService
from app.services.configuration.journal import Journal
from app.services.configuration.presets import Presets
from app.services.configuration.service import SettingsService
from app.services.configuration.writer import SettingsWriter
from app.services.dashboards.board_repository import BoardRepository
from app.services.dashboards.delivery import ApiDelivery, Delivery, FileDelivery
from app.services.dashboards.publisher import Publisher
from app.services.dashboards.service import DashboardService
from app.services.dashboards.templates import Templates
from app.services.devices.conflicts import Conflicts
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.identity import DeviceIdentity
from app.services.devices.monitoring import Monitoring
from app.services.devices.options import OptionsLoader
from app.services.devices.poller import Poller, poll_deadline
from app.services.devices.relocation import Relocation
from app.services.devices.rows import DeviceRows
from app.services.devices.service import DeviceService
from app.services.devices.telemetry_reader import TelemetryReader
from app.services.devices.write_behind import WriteBehind
from app.services.diagnostics import DiagnosticsService
from app.services.discovery.builtin import BuiltinDiscovery
from app.services.discovery.external import ExternalDiscovery
from app.services.discovery.locator import Locator
from app.services.discovery.mdns import MdnsBrowser
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import Scanner
from app.services.discovery.service import DiscoveryService, DiscoverySource
from app.services.discovery.sightings import Sightings
from app.services.discovery.subnets import WIDEST_PREFIX, default_subnets, network_around, own_addresses
from app.services.event_log.kinds import EventKind
from app.services.event_log.observer import EventObserver
from app.services.event_log.service import EventLog
from app.services.history.derived import DerivedFigures
from app.services.history.service import HistoryService
from app.services.history.tiers import make_tiers
from app.services.jobs.device_actions import DeviceActions
from app.services.jobs.drift_repair import DriftRepair
from app.services.jobs.service import JobService
from app.services.jobs.store import JobStore
from app.services.logs.backfill import LogBackfill
from app.services.logs.device_access import DeviceLogAccess
from app.services.logs.device_log import DeviceLog
from app.services.logs.hub import LogHub
from app.services.logs.log_files import LogFiles
from app.services.logs.reader import LogReader
from app.services.logs.reader_policy import ReaderPolicy, ReaderState
from app.services.logs.service import LogService
from app.services.loop_lag import LoopLag
from app.services.metrics.exporter import MetricsExporter
from app.services.metrics.log_metrics import log_families
from app.services.prometheus_query.catalog import MetricCatalog
from app.services.prometheus_query.evaluator import HistoryEvaluator
from app.services.prometheus_query.service import PrometheusQueryService
from app.services.resource_usage import ResourceUsage
from app.services.scans.ignored import IgnoredMiners
from app.services.scans.service import NetworkScans
from app.services.service_metrics import ServiceMetrics
from app.settings import Settings, read_secret
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.discovered import DiscoveredRepository
from app.store.documents import DeviceDocuments, Documents
from app.store.history import MIN_FREE_BYTES, HistoryRepository
from app.store.key_layout import IGNORED
from app.store.presets import PresetRepository
from app.store.stores import Stores
from app.version import VERSION
from app.web_files import load_web_files

log = logging.getLogger(__name__)


class Runtime:
    """Every object that lives as long as the process serves, constructed from top to bottom. Construction starts
    nothing; who subscribes to which event is in app/subscribers.py."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        rng: Callable[[], float],
        policy: ReaderPolicy,
    ) -> None:
        self.settings = settings
        self.clock = clock

        self.events = EventBus()
        self.registry = CollectorRegistry()
        self.service_metrics = ServiceMetrics(self.registry)
        self.resource_usage = ResourceUsage(clock)
        self.loop_lag = LoopLag(self._record_lag, Clock())
        self.encoder = DeviceEncoder()
        self.web_files = load_web_files(settings.web_dir)

        # Store
        self.stores = Stores(settings.data_dir, discovery=not settings.discovery_service_host)
        self.database = self.stores.core
        self.service_metrics.register_store(lambda: self.stores.writes, lambda: self.stores.is_writable)
        self.backups = BackupService(self.stores, self.clock)

        # Devices
        self.fleet = Fleet(DeviceRepository(self.database, clean_info), self.clock)
        self.rule = AddressRule(settings.allowed_device_networks, settings.discovery_ports)
        self.miners = MinerRegistry(self.rule.check_address, self.clock, self._mac_at)
        self.neighbours = NeighbourTable(settings.neighbour_table, self.clock)
        identity = DeviceIdentity(self.fleet, self.neighbours, self.miners.probe_address)
        options = OptionsLoader(self.fleet, poll_deadline(settings.poll_interval))
        self.conflicts = Conflicts(self.fleet, self._documents("conflict"), self.clock)
        self.poller = Poller(
            self.fleet,
            identity,
            options,
            self.conflicts,
            self.events,
            self.service_metrics,
            self.clock,
            deadline=poll_deadline(settings.poll_interval),
            offline_after=settings.offline_after_failures,
        )
        self.monitoring = Monitoring(
            self.fleet,
            self.poller,
            self.miners.get_miner,
            self.events,
            self.service_metrics,
            self.clock,
            settings.poll_interval,
            rng,
        )
        self.write_behind = WriteBehind(
            self.fleet, self.stores, self.clock, settings.persist_interval, self._loop_crashed("write_behind")
        )

        # Discovery
        scanner = Scanner(self.miners.probe_address, self.rule, self.clock, known=self._known_reading)
        repository = DiscoveredRepository(self.stores.discovery, clean_info) if self.stores.discovery else None
        sightings = Sightings(self.neighbours, repository, self.events)
        source = _discovery_source(settings, scanner, sightings, repository, self.rule, self.clock, self._subnets)

        def remembered(mac: str) -> list[Address]:
            tracked = self.fleet.find_device(mac)
            recorded = [tracked.address] if tracked and tracked.address != UNUSABLE_ADDRESS else []
            return [*recorded, *source.known_addresses(mac)]

        locator = Locator(scanner, self.neighbours, sightings, remembered, settings.discovery_ports)
        self.discovery = DiscoveryService(
            source,
            locator,
            NameResolver(self.rule).resolve_address,
            delete_with_device=settings.delete_data_on_device_remove,
        )
        self.relocation = Relocation(
            self.fleet,
            self.monitoring,
            self.conflicts,
            identity,
            self.discovery.locate_device,
            self._subnets_for,
            self.events,
            self.clock,
            self._loop_crashed("relocation"),
        )
        self.devices = DeviceService(
            self.fleet,
            self.monitoring,
            self.rule,
            self.discovery.find_by_macs,
            self.conflicts,
            self.events,
            self.clock,
            auto_listen=settings.auto_listen,
        )

        # Scans
        self.ignored = IgnoredMiners(Documents(self.database, IGNORED), self.fleet.is_registered, self.clock)
        self.scans = NetworkScans(self.discovery, self.fleet, self.ignored, self.events, self.clock)

        self.rows = DeviceRows(self.fleet, self.monitoring.find_next_poll, self.clock)

        # Configuration
        self.commands = Commands(self.fleet, self.miners.get_miner, identity, self.events, self.clock)
        self.journal = Journal(self._documents("journal"), self.clock, self.events.publish)
        self.desired_states = DesiredStates(self._documents("intent"))
        self.settings_writer = SettingsWriter(
            self.fleet, self.commands, options, self.journal, self.desired_states, self.events, self.clock
        )
        self.presets = Presets(PresetRepository(self.database), self.fleet, self.clock)
        applied_presets = AppliedPresets(self.fleet, self.presets, self.desired_states)
        self.settings_service = SettingsService(
            self.fleet, self.settings_writer, self.presets, applied_presets, self.desired_states, self.journal
        )
        self.drift = DriftService(self.fleet, self.desired_states, self.journal, self._documents("drift"), self.events)

        # Jobs
        actions = DeviceActions(
            self.fleet,
            self.commands,
            self.settings_writer,
            self.presets,
            applied_presets,
            self.desired_states,
            self.journal,
        )
        self.jobs = JobService(JobStore(Documents(self.database, "jobs")), self.fleet, actions, self.events, self.clock)
        self.drift_repair = DriftRepair(
            self.fleet,
            self.drift,
            self.desired_states,
            applied_presets,
            self._documents("repairs"),
            self.jobs.create_job,
            self.clock,
            auto_repair=settings.auto_repair,
        )

        # Logs
        access = DeviceLogAccess(self.commands)

        def connect(address: Address) -> LogStream:
            return LogStream(address, self.rule.check_address, self.clock, policy.stream_timeouts, rng)

        def reader(tracked: Tracked, device_log: DeviceLog) -> LogReader:
            return LogReader(tracked, device_log, self.fleet, access.verify_identity, connect, self.clock, policy, rng)

        def is_streaming(mac: str) -> bool:
            known = self.log_hub.find_reader(mac)
            return known is not None and known.state is ReaderState.STREAMING

        self.log_hub = LogHub(self.fleet, reader, self.clock, policy.linger_seconds, write_files=settings.log_files)
        self.log_backfill = LogBackfill(access.fetch_device_log, is_streaming, self.clock)
        self.logs = LogService(self.log_hub, self.log_backfill, self.devices.get_device, self.clock)
        self.log_files = LogFiles(
            settings.data_dir / "logs",
            settings.log_file_megabytes * 1024 * 1024,
            settings.log_file_backups,
            self.log_hub.list_logs,
            self.clock,
            self._loop_crashed("log_files"),
            delete_with_device=settings.delete_data_on_device_remove,
        )

        # History
        self.derived = DerivedFigures(self.fleet, self.clock, settings.poll_interval)
        telemetry = TelemetryReader()
        tiers = make_tiers(
            settings.poll_interval, settings.history_raw_hours, settings.history_1m_days, settings.history_15m_days
        )
        self.history = HistoryService(
            HistoryRepository(self.stores.history, MIN_FREE_BYTES),
            self.fleet,
            telemetry.read_device,
            self.derived,
            tiers,
            self.clock,
            settings.poll_interval,
            self._loop_crashed("history"),
            delete_with_device=settings.delete_data_on_device_remove,
        )

        # Event log
        self.event_log = EventLog(
            self.stores.events,
            self.fleet.is_registered,
            self.events,
            self.clock,
            self.service_metrics.count_unlogged_events,
            self._loop_crashed("event_log"),
            min_free_bytes=MIN_FREE_BYTES,
            days=settings.history_event_days,
            per_device=settings.history_events_per_device,
            delete_with_device=settings.delete_data_on_device_remove,
        )
        self.event_observer = EventObserver(self.event_log, self.fleet)

        self.diagnostics = DiagnosticsService(
            self.fleet, self.settings_service, self.event_log, self.logs, self.presets, self.clock
        )

        # Prometheus queries
        prometheus = PrometheusClient(settings.prometheus_host) if settings.prometheus_host else None
        catalog = MetricCatalog(self.fleet, self.service_metrics.list_names)
        self.prometheus_queries = PrometheusQueryService(
            HistoryEvaluator(catalog, self.history.queries), prometheus, self.clock
        )

        # Metrics and dashboards
        self.metrics = MetricsExporter(
            self.fleet,
            telemetry.read_device,
            self.registry,
            self.clock,
            legacy=settings.metrics_legacy_names,
            also=lambda: log_families(self.log_hub, self.log_files, self.fleet),
        )
        self.dashboards = (
            _dashboards(settings, settings.gf_host, self.fleet, self.database, self.service_metrics, self.clock, rng)
            if settings.gf_host
            else None
        )

    def _mac_at(self, address: Address) -> str | None:
        tracked = self.fleet.find_by_address(address)
        return tracked.mac if tracked else None

    def _documents(self, kind: str) -> DeviceDocuments:
        return DeviceDocuments(self.database, kind, self.fleet.is_registered)

    def _loop_crashed(self, loop: str) -> Callable[[], None]:
        return partial(self.service_metrics.count_loop_crash, loop)

    def _record_lag(self, lag: float) -> None:
        self.service_metrics.observe_loop_lag(lag)
        self.resource_usage.record_second(lag)

    def start(self) -> None:
        """Open the store, then start monitoring. Only after the fork: LevelDB's threads do not survive one."""
        self.stores.open(self.clock)
        for repair in self.stores.repairs:
            self.service_metrics.count_store_repair(repair.recovered)
        self.loop_lag.start()
        self.fleet.load_devices()
        self.conflicts.load_conflicts()
        self.presets.load_presets()
        self.desired_states.load_states()
        self.drift.load_drift()
        self._start_event_log()
        self.discovery.start()
        self.relocation.start()
        self.write_behind.start()
        self.history.start()
        if self.dashboards:
            self.dashboards.start()
        if self.settings.log_files:
            self.log_files.start()
        self.devices.start()
        self.jobs.start()
        log.info("started", extra={"devices": len(self.fleet), "monitored": len(self.fleet.monitored_devices())})

    def _start_event_log(self) -> None:
        self.event_observer.load_watches()
        self.event_log.start()
        for database in self.stores.all_databases():
            if repair := database.repair:
                kept = str(repair.kept.relative_to(database.path.parent))
                details = {"damage": repair.damage, "recovered": repair.recovered, "kept": kept}
                self.event_log.add_event(EventKind.STORE_REPAIRED, {"store": database.path.name, **details})
        self.event_log.add_event(EventKind.SERVICE_STARTED, {"version": VERSION, "devices": len(self.fleet)})

    def stop(self) -> None:
        """Stop everything: nothing is sent to a miner, written or published after this, and the last readings are on
        disk. Callers are answered first, because their requests need the rest."""
        _stop_in_parallel(self.log_hub.stop, lambda: self.events.publish(Stopping()))
        _stop_in_parallel(
            self.jobs.stop,
            self.relocation.stop,
            self.monitoring.stop,
            self.log_files.stop,
            self.scans.stop,
            self.discovery.stop,
            *([self.dashboards.stop] if self.dashboards else []),
        )
        self.write_behind.stop()
        self.history.stop()
        self.event_log.add_event(EventKind.SERVICE_STOPPED, {})
        self.event_log.stop()
        self.prometheus_queries.stop()
        self.loop_lag.stop()
        self.stores.close()
        log.info("stopped")

    def readiness(self) -> dict[str, bool]:
        return {
            "store": self.stores.is_open and self.stores.are_directories_unchanged,
            "loops": self.monitoring.is_healthy,
        }

    def _known_reading(self, address: Address) -> Reading | None:
        """Return the recent reading of a monitored miner, so that a scan need not probe it."""
        tracked = self.fleet.find_by_address(address)
        if tracked and tracked.reading and tracked.observation.status is Status.ONLINE:
            return replace(tracked.reading, is_cached=True)
        return None

    def _subnets(self) -> tuple[IPv4Network, ...]:
        return self.settings.discovery_subnets or default_subnets()

    def _subnets_for(self, address: Address) -> tuple[IPv4Network, ...]:
        """Return the networks in which a miner that left this address is searched: all that are scanned, and the /24
        around it unless one of them is small and contains it."""
        subnets, ip = self._subnets(), IPv4Address(address.host)
        if address == UNUSABLE_ADDRESS or any(ip in subnet and subnet.prefixlen >= WIDEST_PREFIX for subnet in subnets):
            return subnets
        return (network_around(address.host), *subnets)


def _discovery_source(
    settings: Settings,
    scanner: Scanner,
    sightings: Sightings,
    repository: DiscoveredRepository | None,
    rule: AddressRule,
    clock: Clock,
    subnets: Callable[[], Sequence[IPv4Network]],
) -> DiscoverySource:
    """Return the Node stack's discovery service where one is configured, else the built-in scanner. Without a
    `repository` there is no other choice: that service holds the lock on `pluto_discovery`."""
    url = settings.discovery_service_host
    if url or repository is None:
        return ExternalDiscovery(DiscoveryServiceClient(str(url), rule, clean_info), scanner, sightings)

    def browse(found: Callable[[Address], None]) -> MdnsBrowser:
        named = settings.mdns_interfaces
        return MdnsBrowser(found, lambda: named or [str(own.ip) for own in own_addresses()])

    return BuiltinDiscovery(
        scanner,
        sightings,
        repository,
        rule,
        clock,
        subnets,
        settings.discovery_ports,
        settings.discovery_ttl,
        browse if settings.mdns else None,
    )


def _dashboards(
    settings: Settings,
    url: str,
    fleet: Fleet,
    database: Database,
    service_metrics: ServiceMetrics,
    clock: Clock,
    rng: Callable[[], float],
) -> DashboardService:
    """Grafana's API is used where a login is configured; without one, files and a header, as the Node backend does."""
    token = read_secret(settings.grafana_token, settings.grafana_token_file)
    password = read_secret(settings.grafana_password, settings.grafana_password_file)
    grafana = GrafanaClient(url, choose_auth(token, settings.grafana_user, password))
    mode = settings.grafana_mode or ("api" if token or password else "file")
    delivery: Delivery = (
        ApiDelivery(grafana, clock.monotonic) if mode == "api" else FileDelivery(settings.grafana_dashboards_dir)
    )
    boards = BoardRepository(Documents(database, "dashboards"))
    return DashboardService(
        boards,
        Publisher(grafana, delivery, Templates(), boards, publish=settings.publish_dashboards),
        lambda mac: fleet.find_device(mac) is not None,
        service_metrics,
        clock,
        rng,
        delete_with_device=settings.delete_data_on_device_remove,
    )


def _stop_in_parallel(*stops: Callable[[], object]) -> None:
    """Stop all in parallel: each may take a second, and in sequence they would exceed gunicorn's timeout. An
    exception in one is written to stderr and does not keep the others from stopping."""
    gevent.joinall([gevent.spawn(stop) for stop in stops])
