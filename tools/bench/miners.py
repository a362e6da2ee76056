"""The simulated miners: one loopback address each, in enough processes that the simulator is not the bottleneck."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

from simulator import mac_of
from tools.child_processes import PYTHON, ManagedProcess, ProcessFailed
from tools.http_requests import fetch_json

from .options import Options

MINERS_PER_PROCESS = 2000
PORT = 8100
CONTROL_PORT = 8099


class Miners:
    """Starts the miners and sets their faults; `stack` stops them. Each run has loopback addresses of its own.

    `addresses` and `macs` are in the order of the miners; `healthy` are the addresses of those without a fault.
    """

    def __init__(self, options: Options, folder: Path, stack: ExitStack) -> None:
        base = IPv4Address(f"127.{20 + os.getpid() % 40}.0.1")
        self.addresses = [str(base + number) for number in range(options.n)]
        self.macs = [mac_of(number) for number in range(options.n)]
        faults = options.faults
        self.healthy = [ip for number, ip in enumerate(self.addresses) if number not in faults]
        self.processes: list[ManagedProcess] = []
        for first in range(0, options.n, MINERS_PER_PROCESS):
            arguments = (
                f"--count={min(MINERS_PER_PROCESS, options.n - first)} --first={first} --generation={options.firmware} "
                f"--base={self.addresses[first]} --port={PORT} --control={self.addresses[first]}:{CONTROL_PORT} "
                f"--log-rate=0 --stamp --exposition={options.mode}"
            )
            process = ManagedProcess(f"simulator-{first}", [*PYTHON, "simulator", *arguments.split()], folder)
            self.processes.append(stack.enter_context(process))
        for process in self.processes:
            if "ready" not in (line := process.read_line()):
                raise ProcessFailed(f"the {process.name} printed {line!r} instead of its ready line")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._set_fault, faults, faults.values()))

    def _set_fault(self, number: int, fault: str) -> None:
        control = f"{self.addresses[number // MINERS_PER_PROCESS * MINERS_PER_PROCESS]}:{CONTROL_PORT}"
        fetch_json(control, f"/miners/{self.macs[number]}/fault", "POST", {"fault": fault})
