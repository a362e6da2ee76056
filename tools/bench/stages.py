"""The stages of a benchmark, one after the other on the same miners.

The service is measured, then watched, then started again; then come the bare loop and Prometheus.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tools.child_processes import PYTHON, ManagedProcess, ProcessFailed, wait_or_fail

from .fake_grafana import FakeGrafana
from .http_probe import Probe
from .measurements import compute_rates, read_rss_bytes, summarize_samples
from .miners import PORT, Miners
from .options import Options
from .prometheus import measure_prometheus
from .service import DEFAULT_PERSIST_SECONDS, Service


class Benchmark:
    """Starts the miners and a Grafana; `stack` stops them and everything that the stages start."""

    def __init__(self, options: Options, folder: Path, stack: ExitStack) -> None:
        self._options, self._folder, self._stack = options, folder, stack
        self._timeout = 60 + options.n / 20
        report_progress(f"{options.n} miners with AxeOS {options.firmware}")
        self._miners = Miners(options, folder, stack)
        self._grafana = stack.enter_context(FakeGrafana())

    def run_stages(self) -> dict[str, Any]:
        """Return the results by stage."""
        options = self._options
        results = {"service": self._measure_service()}
        if options.restart:
            results["restart"] = self._measure_restart()
        if options.bare:
            report_progress("the bare loop")
            results["bare"] = self._measure_bare_loop()
        if options.prometheus and shutil.which("prometheus"):
            report_progress("Prometheus")
            results["prometheus"] = measure_prometheus(options, self._miners, self._folder, self._stack)
        for figures in (results[stage] for stage in ("bare", "prometheus") if stage in results):
            figures |= compute_rates(figures["cpu"], figures["seconds"], figures["polls"])
        return results

    def _measure_service(self) -> dict[str, Any]:
        """Return the figures of the measured window, and the blocks of the loop in a second window."""
        options = self._options
        service = self._start_service(max(1.0, options.seconds / 2), watch=False)
        started = time.monotonic()
        service.register_miners(self._miners)
        registration_seconds = time.monotonic() - started
        service.wait_until_polled(self._timeout)
        dashboards_seconds = self._wait_for_dashboards(service)
        with self._connect_subscribers(service, options.clients) as subscribers, ExitStack() as probe_stack:
            probes = {
                "metrics": Probe(service.server, "/metrics", options.read_every, 0.0),
                "list": Probe(service.server, "/devices/imprint", options.read_every, 0.5),
                "healthz": Probe(service.server, "/healthz", options.health_check_every, 0.75),
            }
            for probe in probes.values():
                probe_stack.enter_context(probe)
            report_progress(f"warm-up, {options.warmup:g} s")
            time.sleep(options.warmup)
            report_progress(f"measuring, {options.seconds:g} s")
            subscribers.send_command("clear")
            for probe in probes.values():
                probe.clear_samples()
            figures = service.measure_window([subscribers, *self._miners.processes])
            received = subscribers.send_command("report")
            if missing := options.clients - received["connected"]:
                raise ProcessFailed(f"the service disconnected {missing} of {options.clients} subscribers")
            figures["stat_update_ms"] = summarize_samples(received.pop("ages_ms"), 50, 95, 99)
            figures["clients"] = received
            figures["probes"] = {name: probe.report_samples() for name, probe in probes.items()}
            figures["gaps"] = self._watch_loop(service) if options.ticker else []
        figures["imprint_seconds"] = registration_seconds
        figures["boards_seconds"] = dashboards_seconds
        return {**figures, "exit_seconds": service.stop()}

    def _measure_restart(self) -> dict[str, Any]:
        """Return the figures of a start with known devices, until two intervals after all were polled."""
        report_progress("starting again")
        started = time.monotonic()
        service = self._start_service(DEFAULT_PERSIST_SECONDS, watch=self._options.ticker)
        ready_seconds = time.monotonic() - started
        service.wait_until_polled(self._timeout)
        with self._connect_subscribers(service, 1) as subscriber:
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

    def _measure_bare_loop(self) -> Any:
        options = self._options
        numbers = [f"{number:g}" for number in (options.interval, options.warmup / 2, options.seconds, PORT)]
        process = self._start_python("bare", "tools.bench.bare_loop", options.mode, *numbers)
        self._stack.enter_context(process)
        process.send_input("\n".join(self._miners.healthy))
        return json.loads(process.read_line())

    def _start_service(self, persist_interval: float, *, watch: bool) -> Service:
        service = Service(self._options, self._folder, self._grafana.url, persist_interval, watch=watch)
        self._stack.enter_context(service)
        service.wait_until_ready()
        return service

    def _watch_loop(self, service: Service) -> Any:
        report_progress(f"watching the loop, {self._options.seconds:g} s")
        service.fetch_json("/bench?watch=on")
        time.sleep(self._options.seconds)
        return service.fetch_json("/bench")["gaps"]

    @contextmanager
    def _connect_subscribers(self, service: Service, count: int) -> Iterator[ManagedProcess]:
        port = service.server.rpartition(":")[2]
        with self._start_python("subscribers", "tools.bench.subscribers", port, str(count)) as process:
            process.read_line()
            yield process

    def _start_python(self, name: str, module: str, *arguments: str) -> ManagedProcess:
        return ManagedProcess(name, [*PYTHON, module, *arguments], self._folder)

    def _wait_for_dashboards(self, service: Service) -> float:
        """Return the seconds until all dashboards are made: that work of the first day is not measured."""
        if not self._options.dashboards:
            return 0.0
        wanted = self._options.healthy + 1
        report_progress(f"waiting for {wanted} dashboards")
        return wait_or_fail(
            "the creation of the dashboards",
            lambda: len(self._grafana.requested) >= wanted,
            10 * self._timeout,
            service,
        )


def report_progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
