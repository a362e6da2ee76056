"""`python -m simulator`: runs simulated miners until SIGINT or SIGTERM.

    python -m simulator --demo                        the twelve miners of the demo on ports 8101–8112
    python -m simulator --count 200 --port 8100       200 mixed miners on 127.1.0.1 … 127.1.0.200, port 8100
    python -m simulator --count 50 --shared --port 9000     50 miners on one address, ports 9000 … 9049
    python -m simulator --body answer.json --listen 127.0.0.1:8101     one miner with a recorded /info

With --control 127.0.0.1:8100 the fleet can be inspected and changed over HTTP:
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from gevent import event, get_hub

from . import control
from .control import ControlServer, parse_address
from .fleet_specs import demo_fleet, make_recorded_spec, make_specs
from .generations import GENERATIONS
from .metrics_handler import MODES
from .miner_fleet import Fleet
from .spec import LIFELIKE, MinerSpec


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    text = f"{__doc__}\n{(control.__doc__ or '').partition(chr(10) * 2)[2]}"
    options = argparse.ArgumentParser("simulator", description=text, formatter_class=argparse.RawTextHelpFormatter)
    kind = options.add_mutually_exclusive_group(required=True)
    kind.add_argument("--demo", action="store_true", help="twelve miners of different generations")
    kind.add_argument("--count", type=int, help="number of miners")
    kind.add_argument("--body", type=Path, metavar="FILE", help="one miner that serves a recorded /info")
    options.add_argument("--asic", type=Path, metavar="FILE", help="with --body: recorded /api/system/asic")
    options.add_argument("--generation", default="mix", help=f"with --count: mix or one of {', '.join(GENERATIONS)}")
    options.add_argument("--base", default="127.1.0.1", help="with --count: first address (%(default)s)")
    options.add_argument("--port", type=int, default=8100, help="with --count: port (%(default)s)")
    layout = options.add_mutually_exclusive_group()
    layout.add_argument("--per-address", action="store_true", help="with --count: one address per miner (default)")
    layout.add_argument("--shared", action="store_true", help="with --count: one address, one port per miner")
    options.add_argument("--listen", default="127.0.0.1:8101", help="with --body: address (%(default)s)")
    options.add_argument("--neighbours", type=Path, metavar="FILE", help="write a neighbour table like /proc/net/arp")
    options.add_argument("--boot-seconds", type=float, default=LIFELIKE.boot, help="seconds per restart (%(default)s)")
    options.add_argument("--log-rate", type=float, default=2.0, help="log lines per second and miner (%(default)s)")
    options.add_argument("--latency", type=float, default=0.0, help="seconds before each answer (%(default)s)")
    options.add_argument("--seed", type=int, default=1, help="equal seeds give equal fleets (%(default)s)")
    options.add_argument("--first", type=int, default=0, help="with --count: number of the first miner (%(default)s)")
    options.add_argument("--stamp", action="store_true", help="add the time of printing to /info (monotonic ns)")
    options.add_argument("--exposition", choices=MODES, default="", help="add GET /metrics; close: end the connection")
    options.add_argument("--control", metavar="IP:PORT", help="address of the control API")
    return options


def select_specs(options: argparse.Namespace) -> list[MinerSpec]:
    """Return the specs that the options select. Raises: ValueError, OSError with a message for the user."""
    if options.demo:
        return demo_fleet()
    if options.body is not None:
        spec = make_recorded_spec(options.body.read_bytes(), parse_address(options.listen))
        return [replace(spec, asic_body=options.asic.read_bytes() if options.asic else None)]
    per_address = not options.shared
    where = options.base, options.port
    return make_specs(options.count, options.generation, *where, per_address=per_address, first=options.first)


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal arrives. Return 2 if the options are not valid."""
    options = build_parser().parse_args(arguments)
    timings = replace(LIFELIKE, boot=options.boot_seconds, latency=options.latency)
    try:
        extras = {"log_rate": options.log_rate, "stamp": options.stamp, "exposition": options.exposition}
        specs = [replace(spec, **extras) for spec in select_specs(options)]
        with Fleet(specs, options.seed, timings=timings) as fleet:
            return run_fleet(fleet, options)
    except (ValueError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2


def run_fleet(fleet: Fleet, options: argparse.Namespace) -> int:
    """Print that the fleet is ready, then wait for a signal."""
    stop = event.Event()
    loop = get_hub().loop
    watchers = [loop.signal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for watcher in watchers:
        watcher.start(stop.set)
    server = ControlServer(fleet, parse_address(options.control)) if options.control else None
    if server is not None:
        server.start()
    if options.neighbours is not None:
        fleet.write_neighbour_table(options.neighbours)
    print(format_ready_line(fleet, server), flush=True)
    stop.wait()
    if server is not None:
        server.stop()
    return 0


def format_ready_line(fleet: Fleet, server: ControlServer | None) -> str:
    """Return the line that users and scripts wait for."""
    first, last = fleet[0].address, fleet[-1].address
    where = first if len(fleet) == 1 else f"{first} … {last}"
    extra = f", control on http://{server.address}/miners" if server is not None else ""
    return f"simulator ready: {len(fleet)} miners on {where}{extra}"


if __name__ == "__main__":
    sys.exit(main())
