"""The stages of a benchmark, one after the other on the same miners.

The service is measured, then watched, then started again; then come its history, the bare loop and Prometheus.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.child_processes import PYTHON, ManagedProcess, ProcessFailed, find_free_port, wait_or_fail
from tools.http_requests import fetch_json, is_ready, send_request

from .history_runs import fast_forward_stores
from .measurements import compare_usage, read_rss_bytes, read_usage, summarize_samples
from .miners import PORT, Miners
from .options import QUERY_RANGES, Options
from .probe import Probe
from .service import DEFAULT_PERSIST_SECONDS, FakeGrafana, Service

READY_SECONDS = 120.0
HISTORY_OFF = {"HISTORY_RAW_HOURS": "0", "HISTORY_1M_DAYS": "0", "HISTORY_15M_DAYS": "0"}
QUERY_EVERY = 1.0
PROMETHEUS_CONFIG = """
scrape_configs:
  - job_name: miners
    scrape_interval: {interval:g}s
    scrape_timeout: {interval:g}s
    file_sd_configs: [{{files: ["{targets}"]}}]
"""


class Benchmark:
    """Starts the miners and a Grafana; `stack` stops them and the service."""

    def __init__(self, options: Options, folder: Path, stack: ExitStack) -> None:
        self._options, self._folder, self._stack = options, folder, stack
        self._poll_timeout = 60 + options.n / 20
        report_progress(f"{options.n} miners with AxeOS {options.firmware}")
        self._miners = Miners(options, folder, stack)
        self._grafana = FakeGrafana()

    def run_stages(self) -> dict[str, Any]:
        """Return the results by stage."""
        options = self._options
        stages = {
            "service": (self._measure_service, True),
            "restart": (self._measure_restart, options.restart),
            "history": (self._measure_history, options.history),
            "bare": (self._measure_bare_loop, options.bare),
            "prometheus": (self._measure_prometheus, options.prometheus and shutil.which("prometheus")),
        }
        return {name: measure() for name, (measure, is_wanted) in stages.items() if is_wanted}

    def _measure_service(self) -> dict[str, Any]:
        """Return the figures of the measured window, and the blocks of the loop in a second window."""
        options = self._options
        service = self._start_service(max(1.0, options.seconds / 2), watch=False)
        started = time.monotonic()
        service.register_miners(self._miners)
        figures: dict[str, Any] = {"imprint_seconds": time.monotonic() - started}
        self._wait_for_polls(service)
        figures["boards_seconds"] = self._wait_for_dashboards(service) if options.dashboards else 0.0
        probes = {
            **self._make_readers(service),
            "healthz": Probe(service.server, "/healthz", options.health_check_every, 0.75),
        }
        with self._start_subscribers(service, options.clients) as subscribers, ExitStack() as running:
            subscribers.send_command("clear")  # The answer comes when all are connected.
            for probe in probes.values():
                running.enter_context(probe)
            report_progress(f"warm-up, {options.warmup:g} s")
            time.sleep(options.warmup)
            report_progress(f"measuring, {options.seconds:g} s")
            subscribers.send_command("clear")
            for probe in probes.values():
                probe.samples = []
            figures |= service.measure_window([subscribers, *self._miners.processes])
            received = subscribers.send_command("report")
            if missing := options.clients - received["connected"]:
                raise ProcessFailed(f"the service disconnected {missing} of {options.clients} subscribers")
            ages, answers = received.pop("ages_ms"), {name: probe.report_samples() for name, probe in probes.items()}
            figures |= {"stat_update_ms": summarize_samples(ages, 50, 95, 99), "clients": received, "probes": answers}
            figures["gaps"] = self._watch_loop(service) if options.ticker else []
        return {**figures, "exit_seconds": service.stop()}

    def _measure_restart(self) -> dict[str, Any]:
        """Return the figures of a start with known devices, until two intervals after all were polled."""
        report_progress("restarting the service")
        started = time.monotonic()
        service = self._start_service(DEFAULT_PERSIST_SECONDS, watch=self._options.ticker)
        ready_seconds = time.monotonic() - started
        self._wait_for_polls(service)
        with self._start_subscribers(service, 1) as subscriber:
            time.sleep(2 * self._options.interval)
            received = subscriber.send_command("report")
        figures, faulty = service.fetch_json("/bench"), {self._miners.macs[number] for number in self._options.faults}
        return {
            "ready_seconds": ready_seconds,
            "all_polled_seconds": service.fetch_json("/bench/fleet")["all_polled"],
            "falsely_lost": len(set(figures["lost"]) - faulty),
            "error_events": received["events"].get("error", 0),
            "rss": read_rss_bytes(service.worker_pid),
            "gaps": figures["gaps"],
            "exit_seconds": service.stop(),
        }

    def _measure_history(self) -> dict[str, Any]:
        """Return the cost of the history, from two services on the same miners and from its stores in stepped time, and
        the times of queries of a year."""
        options, data = self._options, {name: self._folder / f"history-{name}" for name in ("on", "off")}
        report_progress("history: stepped time")
        figures = {"stepped": fast_forward_stores(options, self._folder, data["on"], self._miners.macs)}
        services = {name: self._start_history_service(name, data[name]) for name in data}
        with ExitStack() as running:
            for service in services.values():
                service.register_miners(self._miners)
                self._wait_for_polls(service)
                running.enter_context(self._start_subscribers(service, options.clients))
                for reader in self._make_readers(service).values():
                    running.enter_context(reader)
            report_progress(f"history: on against off, {options.seconds:g} s")
            time.sleep(options.warmup)
            figures |= compare_services(services, options.seconds)
        services["off"].stop()
        return figures | self._measure_queries(services["on"])

    def _measure_queries(self, service: Service) -> dict[str, Any]:
        """Return the times of queries of 500 points, and the blocks of the loop while they are answered."""
        report_progress(f"history: queries, {self._options.seconds:g} s")
        targets = {"device": f"/devices/{self._miners.macs[0]}/history", "fleet": "/history"}
        paths = {f"{name}_{each}": f"{path}?from=-{each}" for name, path in targets.items() for each in QUERY_RANGES}
        probes = {
            name: Probe(service.server, f"{path}&points=500", QUERY_EVERY, at / len(paths))
            for at, (name, path) in enumerate(paths.items())
        }
        with ExitStack() as running:
            for probe in probes.values():
                running.enter_context(probe)
            time.sleep(self._options.seconds)
            answers = {name: probe.report_samples() for name, probe in probes.items()}
            gaps = self._watch_loop(service) if self._options.ticker else []
        return {"queries": answers, "gaps": gaps, "exit_seconds": service.stop()}

    def _start_history_service(self, name: str, data: Path) -> Service:
        settings = {"DATA_DIR": str(data), **(HISTORY_OFF if name == "off" else {})}
        return self._start_service(DEFAULT_PERSIST_SECONDS, watch=False, name=data.name, more_settings=settings)

    def _measure_bare_loop(self) -> Any:
        report_progress("the bare loop")
        options = self._options
        numbers = [f"{number:g}" for number in (options.interval, options.warmup / 2, options.seconds, PORT)]
        arguments = [*PYTHON, "tools.bench.bare_loop", options.mode, *numbers]
        with ManagedProcess("bare", arguments, self._folder) as process:
            process.send_input("\n".join(self._miners.healthy))
            return json.loads(process.read_line())

    def _measure_prometheus(self) -> dict[str, Any]:
        """Return the figures of a Prometheus that scrapes the healthy miners as often and in the same mode."""
        report_progress("Prometheus")
        options, folder, server = self._options, self._folder, f"127.0.0.1:{find_free_port()}"
        targets, config = folder / "targets.json", folder / "prometheus.yml"
        targets.write_text(json.dumps([{"targets": [f"{ip}:{PORT}" for ip in self._miners.healthy]}]))
        config.write_text(PROMETHEUS_CONFIG.format(interval=options.interval, targets=targets))
        paths = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
        with ManagedProcess("prometheus", ["prometheus", *paths, f"--web.listen-address={server}"], folder) as process:
            timeout = READY_SECONDS + 2 * options.interval
            wait_or_fail("scrape of all miners", lambda: count_targets_up(server) >= options.healthy, timeout, process)
            # Prometheus counts intervals between scrapes, so it counts none before the second scrape of a target.
            time.sleep(max(options.warmup, 2 * options.interval))
            before, scrapes = read_usage(process.pid), count_scrapes(server)
            time.sleep(options.seconds)
            return compare_usage(before, read_usage(process.pid), count_scrapes(server) - scrapes)

    def _make_readers(self, service: Service) -> dict[str, Probe]:
        every = self._options.read_every
        return {
            "metrics": Probe(service.server, "/metrics", every, 0.0),
            "list": Probe(service.server, "/devices/imprint", every, 0.5),
        }

    def _start_service(
        self,
        persist_interval: float,
        *,
        watch: bool,
        name: str = "service",
        more_settings: dict[str, str] | None = None,
    ) -> Service:
        """`name`, `more_settings`: of a service that is compared with another; it makes no dashboards."""
        options = replace(self._options, dashboards=self._options.dashboards and not more_settings)
        grafana, settings = self._grafana.url, more_settings or {}
        service = Service(options, self._folder, grafana, persist_interval, watch=watch, name=name, more=settings)
        self._stack.enter_context(service)
        wait_or_fail("answer 200 to /readyz", lambda: is_ready(service.server), READY_SECONDS, service)
        return service

    def _start_subscribers(self, service: Service, count: int) -> ManagedProcess:
        arguments = [*PYTHON, "tools.bench.subscribers", str(service.port), str(count)]
        return ManagedProcess(f"subscribers-{service.port}", arguments, self._folder)

    def _wait_for_polls(self, service: Service) -> None:
        wait_or_fail("poll of all miners", service.is_fleet_online, self._poll_timeout, service)

    def _wait_for_dashboards(self, service: Service) -> float:
        """Return the seconds until all dashboards are made: that work of the first day is not measured."""
        wanted = self._options.healthy + 1
        report_progress(f"waiting for {wanted} dashboards")
        return wait_or_fail(
            "complete dashboards", lambda: len(self._grafana.requested) >= wanted, 10 * self._poll_timeout, service
        )

    def _watch_loop(self, service: Service) -> Any:
        report_progress(f"watching the loop, {self._options.seconds:g} s")
        service.fetch_json("/bench?watch=on")
        time.sleep(self._options.seconds)
        return service.fetch_json("/bench")["gaps"]


def compare_services(services: dict[str, Service], seconds: float) -> dict[str, Any]:
    """Return the usage of each service in the same window."""
    pids = {name: service.worker_pid for name, service in services.items()}
    polls = {name: -service.count_polls() for name, service in services.items()}
    before = {name: read_usage(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    after = {name: read_usage(pid) for name, pid in pids.items()}
    polls = {name: polls[name] + service.count_polls() for name, service in services.items()}
    return {name: compare_usage(before[name], after[name], polls[name]) for name in services}


def count_targets_up(server: str) -> int:
    with suppress(ProcessFailed):  # Prometheus is starting.
        for row in fetch_json(server, "/api/v1/query?query=sum(up)")["data"]["result"]:
            return int(row["value"][1])
    return 0


def count_scrapes(server: str) -> int:
    lines = send_request(server, "/metrics")[1].decode().splitlines()
    series = "prometheus_target_interval_length_seconds_count{"
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(series)))


def report_progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
