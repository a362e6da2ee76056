"""`python -m simulator`: pretend miners until SIGINT or SIGTERM.

    python -m simulator --demo                        the demo's twelve on ports 8101–8112
    python -m simulator --count 200 --port 8100       200 mixed miners on 127.1.0.1 … 127.1.0.200, port 8100
    python -m simulator --count 50 --shared --port 9000     all on one address, ports 9000 … 9049
    python -m simulator --body answer.json --listen 127.0.0.1:8101     one miner with a recorded /info

With --control 127.0.0.1:8100 a person can play with it:
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from gevent import event, get_hub

from . import control
from .control import Control, parse_address
from .exposition import MODES
from .fleet import Fleet
from .fleet_specs import demo_fleet, make_specs, with_body
from .generations import GENERATIONS
from .spec import LIFELIKE, MinerSpec


def parser() -> argparse.ArgumentParser:
    """The options."""
    text = f"{__doc__}\n{(control.__doc__ or '').partition(chr(10) * 2)[2]}"
    options = argparse.ArgumentParser("simulator", description=text, formatter_class=argparse.RawTextHelpFormatter)
    kind = options.add_mutually_exclusive_group(required=True)
    kind.add_argument("--demo", action="store_true", help="twelve miners of different generations")
    kind.add_argument("--count", type=int, help="this many miners")
    kind.add_argument("--body", type=Path, metavar="FILE", help="one miner that serves this recorded /info")
    options.add_argument("--asic", type=Path, metavar="FILE", help="with --body: its recorded /api/system/asic")
    options.add_argument("--generation", default="mix", help=f"with --count: mix or one of {', '.join(GENERATIONS)}")
    options.add_argument("--base", default="127.1.0.1", help="with --count: the first address (%(default)s)")
    options.add_argument("--port", type=int, default=8100, help="with --count: the port (%(default)s)")
    layout = options.add_mutually_exclusive_group()
    layout.add_argument("--per-address", action="store_true", help="with --count: an address each (the default)")
    layout.add_argument("--shared", action="store_true", help="with --count: one address, a port each")
    options.add_argument("--listen", default="127.0.0.1:8101", help="with --body: where (%(default)s)")
    options.add_argument("--neighbours", type=Path, metavar="FILE", help="write a table like /proc/net/arp here")
    options.add_argument("--boot-seconds", type=float, default=LIFELIKE.boot, help="a restart takes (%(default)s)")
    options.add_argument("--log-rate", type=float, default=2.0, help="log lines per second and miner (%(default)s)")
    options.add_argument("--latency", type=float, default=0.0, help="seconds before an answer (%(default)s)")
    options.add_argument("--seed", type=int, default=1, help="same seed, same fleet (%(default)s)")
    options.add_argument("--first", type=int, default=0, help="with --count: number of the first (%(default)s)")
    options.add_argument("--stamp", action="store_true", help="/info says when it was written (monotonic ns)")
    options.add_argument("--exposition", choices=MODES, default="", help="miners have a /metrics, which closes or not")
    options.add_argument("--control", metavar="IP:PORT", help="listen here for the control API")
    return options


def specs_of(options: argparse.Namespace) -> list[MinerSpec]:
    """The miners that the options ask for; ValueError or OSError in words."""
    if options.demo:
        return demo_fleet()
    if options.body is not None:
        spec = with_body(options.body.read_bytes(), parse_address(options.listen))
        return [replace(spec, asic_body=options.asic.read_bytes() if options.asic else None)]
    per_address = not options.shared
    where = options.base, options.port
    return make_specs(options.count, options.generation, *where, per_address=per_address, first=options.first)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop; 2 when the options make no sense."""
    options = parser().parse_args(arguments)
    timings = replace(LIFELIKE, boot=options.boot_seconds, latency=options.latency)
    try:
        extras = {"log_rate": options.log_rate, "stamp": options.stamp, "exposition": options.exposition}
        specs = [replace(spec, **extras) for spec in specs_of(options)]
        with Fleet(specs, options.seed, timings=timings) as fleet:
            return serve(fleet, options)
    except (ValueError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2


def serve(fleet: Fleet, options: argparse.Namespace) -> int:
    """Say that it is ready, then wait for the end."""
    stop = event.Event()
    loop = get_hub().loop
    watchers = [loop.signal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for watcher in watchers:
        watcher.start(stop.set)
    panel = Control(fleet, parse_address(options.control)) if options.control else None
    if panel is not None:
        panel.start()
    if options.neighbours is not None:
        fleet.write_neighbour_table(options.neighbours)
    print(ready_line(fleet, panel), flush=True)
    stop.wait()
    if panel is not None:
        panel.stop()
    return 0


def ready_line(fleet: Fleet, panel: Control | None) -> str:
    """One line for a person and for a script that waits for it."""
    first, last = fleet[0].address, fleet[-1].address
    where = first if len(fleet) == 1 else f"{first} … {last}"
    extra = f", control on http://{panel.address}/miners" if panel is not None else ""
    return f"simulator ready: {len(fleet)} miners on {where}{extra}"


if __name__ == "__main__":
    sys.exit(main())
