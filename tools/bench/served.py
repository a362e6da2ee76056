"""The stages in which the service runs: measured, then watched, then started again with the devices it knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .figures import spread
from .grafana import Grafana
from .miners import Miners
from .options import Options
from .probes import Probe
from .proc import rss_bytes
from .processes import BenchFailed, Part, python, say, wait_for
from .service import Service
from .window import measure

PERSIST_SECONDS = 300.0


class Served:
    """Owns what it starts, until `stack` is closed."""

    def __init__(self, options: Options, folder: Path, stack: ExitStack, miners: Miners) -> None:
        self._options = options
        self._folder = folder
        self._stack = stack
        self._miners = miners
        self._patience = 60 + options.n / 20
        self._grafana = Grafana()
        stack.callback(self._grafana.stop)

    def run(self) -> dict[str, Any]:
        """The measured window, and after it a second one in which the loop is watched."""
        options = self._options
        service = self._start(max(1.0, options.seconds / 2), watched=False)
        began = time.monotonic()
        service.imprint(self._miners)
        imprint_seconds = time.monotonic() - began
        service.wait_until_polled(self._patience)
        boards_seconds = self._wait_for_boards(service)
        with self._clients(service, options.clients) as clients, self._probes(service) as probes:
            say(f"warm-up, {options.warmup:g} s")
            time.sleep(options.warmup)
            measured = self._window(service, clients, probes)
            gaps = self._watch(service) if options.ticker else []
        return {
            **measured,
            "gaps": gaps,
            "imprint_seconds": imprint_seconds,
            "boards_seconds": boards_seconds,
            "exit_seconds": service.part.stop(),
        }

    def restart(self) -> dict[str, Any]:
        """Beyond the first interval it waits for two more: nobody may be lost by mistake."""
        say("starting again")
        began = time.monotonic()
        service = self._start(PERSIST_SECONDS, watched=self._options.ticker)
        ready = time.monotonic() - began
        service.wait_until_polled(self._patience)
        with self._clients(service, 1) as clients:
            time.sleep(2 * self._options.interval)
            heard = clients.ask("report")
        told, sick = service.told("/bench"), {self._miners.macs[number] for number in self._options.faults}
        return {
            "ready_seconds": ready,
            "all_polled_seconds": service.told("/bench/fleet")["all_polled"],
            "falsely_lost": len(set(told["lost"]) - sick),
            "error_events": heard["events"].get("error", 0),
            "rss": rss_bytes(service.worker),
            "gaps": told["gaps"],
            "exit_seconds": service.part.stop(),
        }

    def _start(self, persist_interval: float, *, watched: bool) -> Service:
        """Ready. It ends with the run, if not before."""
        grafana = self._grafana.url if self._options.dashboards else None
        service = Service(self._options, self._folder, grafana, persist_interval, watched=watched)
        self._stack.callback(service.part.stop)
        service.wait_until_ready()
        return service

    def _window(self, service: Service, clients: Part, probes: dict[str, Probe]) -> dict[str, Any]:
        say(f"measuring, {self._options.seconds:g} s")
        clients.ask("mark")
        for probe in probes.values():
            probe.mark()
        measured = measure(service, self._options, [clients, *self._miners.parts])
        heard = clients.ask("report")
        if missing := self._options.clients - heard["connected"]:
            raise BenchFailed(f"{missing} of {self._options.clients} subscribers were thrown out")
        ages = spread(heard.pop("ages_ms"), 50, 95, 99)
        answers = {name: probe.report() for name, probe in probes.items()}
        return {**measured, "stat_update_ms": ages, "clients": heard, "probes": answers}

    def _watch(self, service: Service) -> Any:
        say(f"watching the loop, {self._options.seconds:g} s")
        service.told("/bench/watch/on")
        service.told("/bench")
        time.sleep(self._options.seconds)
        return service.told("/bench")["gaps"]

    @contextmanager
    def _clients(self, service: Service, count: int) -> Iterator[Part]:
        part = Part("subscribers", python("tools.bench.subscribers", str(service.port), str(count)), self._folder)
        try:
            part.line()
            yield part
        finally:
            part.stop()

    @contextmanager
    def _probes(self, service: Service) -> Iterator[dict[str, Probe]]:
        options, port = self._options, service.port
        probes = {
            "metrics": Probe(port, "/metrics", options.read_every, 0.0),
            "list": Probe(port, "/devices/imprint", options.read_every, 0.5, conditional=True),
            "healthz": Probe(port, "/healthz", options.probe_every, 0.75),
        }
        for probe in probes.values():
            probe.start()
        try:
            yield probes
        finally:
            for probe in probes.values():
                probe.stop()

    def _wait_for_boards(self, service: Service) -> float:
        """The first day's work, a file and a look for each miner, is not what is measured."""
        if not self._options.dashboards:
            return 0.0
        wanted = self._options.healthy + 1
        say(f"{wanted} dashboards are made")
        return wait_for("the dashboards", lambda: self._grafana.boards >= wanted, 10 * self._patience, [service.part])
