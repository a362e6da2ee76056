"""The simulated miners: an address each, in as many processes as they need not to be what is measured."""

from __future__ import annotations

import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

from simulator import mac_of

from .options import Options
from .processes import BenchFailed, Part, python

PER_PROCESS = 2000
PORT = 8100
CONTROL_PORT = 8099


class Miners:
    """`addresses` and `macs` in the order of the miners; `healthy` are the addresses of those without a fault. Each run
    has loopback addresses of its own."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._first = IPv4Address(f"127.{20 + os.getpid() % 40}.0.1")
        self.addresses = [str(self._first + number) for number in range(options.n)]
        self.macs = [mac_of(number) for number in range(options.n)]
        self.healthy = [ip for number, ip in enumerate(self.addresses) if number not in options.faults]
        self._starts = range(0, options.n, PER_PROCESS)
        self.parts: list[Part] = []
        try:
            for start in self._starts:
                self.parts.append(self._shard(options, folder, start))
            for part in self.parts:
                self._await_ready(part)
            self._fall_ill(options.faults)
        except BaseException:
            self.stop()
            raise

    def _shard(self, options: Options, folder: Path, start: int) -> Part:
        count = min(PER_PROCESS, options.n - start)
        what = ["--count", str(count), "--first", str(start), "--generation", options.generation]
        where = ["--base", self.addresses[start], "--port", str(PORT), "--control", self._control(start)]
        extras = ["--log-rate", "0", "--stamp", "--exposition", options.mode]
        return Part(f"simulator-{start}", python("simulator", *what, *where, *extras), folder)

    def _control(self, start: int) -> str:
        return f"{self.addresses[start]}:{CONTROL_PORT}"

    def _await_ready(self, part: Part) -> None:
        line = part.line()
        if "ready" not in line:
            raise BenchFailed(f"the {part.name} says {line!r}")

    def _fall_ill(self, faults: dict[int, str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._switch, faults, faults.values()))

    def _switch(self, number: int, fault: str) -> None:
        control = http.client.HTTPConnection(self._control(number // PER_PROCESS * PER_PROCESS), timeout=30)
        body = json.dumps({"fault": fault})
        control.request("POST", f"/miners/{self.macs[number]}/fault", body, {"Content-Type": "application/json"})
        status = control.getresponse().status
        control.close()
        if status != 200:
            raise BenchFailed(f"the simulator answered {status} to a fault")

    def stop(self) -> None:
        for part in self.parts:
            part.stop()
