"""mDNS discovery: miners announce themselves since AxeOS 2.15 (PR#1240), and NerdOS with the same subtype (NQ PR#613).

python-zeroconf is based on asyncio. Its own thread would be a greenlet here, on the same OS thread, where its blocking
calls fail; so the asyncio loop runs in a greenlet of this module, and only zeroconf's asyncio API is used. One such
loop per process is possible: asyncio stores the running loop per OS thread.

Browsing a subtype (`_axeos._sub._http._tcp.local.`) queries its PTR records, which name instances of
`_http._tcp.local.`. The browser of python-zeroconf 0.154 reports a new PTR, but never a new SRV or A record behind
it, since it matches those by the instance's type. So the browser only sends the queries, and a record listener
receives the answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Full, Queue
from zeroconf import BadTypeInNameException, IPVersion, RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from app.errors import Invalid
from app.miners.address import Address
from app.throttle import yield_if_due

log = logging.getLogger(__name__)

SUBTYPE = "_axeos._sub._http._tcp.local."
RESOLVE_MILLISECONDS = 3000
CLOSE_SECONDS = 3.0
AGAIN_AFTER_SECONDS = 60.0
# New records after which a zeroconf instance is replaced: it deletes none before it expires, and a flood of 1.4 million
# names took 451 MB. A usual network has some dozens.
MAX_RECORDS = 2048
WORKERS = 4
MAX_PENDING = 256
# Each running resolution receives every record that arrives meanwhile.
MAX_RESOLVING = 32
STOPPED = None
_PTR, _A, _SRV, _IN = 12, 1, 33, 1


class _Resolver(RecordUpdateListener):
    """Resolves records to addresses, within zeroconf's loop. Every PTR counts, also a repeated one: the miner may
    have rebooted."""

    def __init__(self, zeroconf: Zeroconf, found: Callable[[Address], None], flooded: Callable[[], object]) -> None:
        """`flooded` is called once there are more than MAX_RECORDS records."""
        self._zeroconf = zeroconf
        self._found = found
        self._flooded = flooded
        self._records = 0
        self._touched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        self._records += sum(update.old is None for update in records)
        if self._records > MAX_RECORDS:
            self._flooded()
            return
        yield_if_due()  # a flood keeps the socket full, and asyncio's loop runs nothing else meanwhile
        pointers: list[Any] = zc.cache.get_all_by_details(SUBTYPE, _PTR, _IN)
        known = {pointer.alias for pointer in pointers}
        for record in (update.new for update in records if not update.new.is_expired(now) and _is_news(update)):
            self._touched |= _instance_names(zc, record, known)

    def async_update_records_complete(self) -> None:
        names, self._touched = self._touched, set()
        for name in list(names)[: MAX_RESOLVING - len(self._tasks)]:
            task = asyncio.get_running_loop().create_task(self._resolve(self._zeroconf, name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _resolve(self, zc: Zeroconf, name: str) -> None:
        """Resolve from the cache if the answer contained everything, as AxeOS's does; else by a query."""
        yield_if_due()  # hundreds of these run in one iteration of asyncio's loop
        try:
            info = AsyncServiceInfo(SUBTYPE, name)
        except BadTypeInNameException:
            return
        if info.load_from_cache(zc) or await info.async_request(zc, RESOLVE_MILLISECONDS):
            for text in info.parsed_addresses(IPVersion.V4Only):
                self._found(Address(text, info.port or 0))


def _is_news(update: RecordUpdate) -> bool:
    """Return False for repeated SRV and A records, which come with every answer to any host."""
    return update.new.type == _PTR or update.old is None


def _instance_names(zc: Zeroconf, record: Any, known: set[str]) -> set[str]:
    """Return the miners' instances that `record` is about; none for other devices on the network."""
    if record.type == _PTR:
        return {record.alias} if record.name.lower() == SUBTYPE else set()
    if record.type == _A:
        return known & {service.name for service in zc.cache.async_entries_with_server(record.name)}
    return known & {record.name} if record.type == _SRV else set()


class MdnsBrowser:
    """Owns the browsing greenlet. Calls `found` in greenlets of its own, so that it may block; its exceptions are
    logged.

    `interfaces` returns the IPv4 addresses of this host; nothing is sent or received elsewhere. It is called every
    minute, and the sockets are opened again when the addresses change. If mDNS cannot start (no network yet, no
    multicast, port in use), one line is logged and it is retried every minute; discovery works without it.
    """

    def __init__(
        self,
        found: Callable[[Address], None],
        interfaces: Callable[[], Sequence[str]],
        again_after: float = AGAIN_AFTER_SECONDS,
    ) -> None:
        """`again_after`: seconds between two attempts, and between two checks of the host's addresses."""
        self._found = found
        self._interfaces = interfaces
        self._again_after = again_after
        self._queue: Queue[Address] = Queue(MAX_PENDING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None
        self._greenlets: list[gevent.Greenlet] = []
        self.listening = Event()

    def start(self) -> None:
        """Return at once; `listening` is set when the sockets are open."""
        if self._greenlets:
            return
        self._greenlets = [
            gevent.spawn(self._browse_until_stopped),
            *(gevent.spawn(self._process_queue) for _ in range(WORKERS)),
        ]

    def stop(self) -> None:
        """Close the sockets; `found` is not called after this returns. Idempotent."""
        if self._loop is not None and self._done is not None:
            self._loop.call_soon_threadsafe(self._done.set)
            gevent.joinall(self._greenlets[:1], timeout=CLOSE_SECONDS)
        gevent.killall(self._greenlets)
        self._greenlets = []

    def _browse_until_stopped(self) -> None:
        said = ""
        while (problem := self._browse_once()) is not STOPPED:
            if problem and problem != said:
                log.warning("mDNS does not work here, announcements are not heard", extra={"reason": problem})
            if problem:
                said = problem
                gevent.sleep(self._again_after)
            else:
                said = ""
                log.info("this host's addresses changed, mDNS listens on the new ones")

    def _browse_once(self) -> str | None:
        """Browse until stopped (STOPPED), until the addresses change (""), or until an error (its description)."""
        interfaces = list(self._interfaces())
        if not interfaces:
            return "this host has no address on a private network; see MDNS_INTERFACES"
        self._loop, self._done = asyncio.new_event_loop(), asyncio.Event()
        try:
            return self._loop.run_until_complete(self._browse_interfaces(self._done, interfaces))
        except Exception as error:
            return repr(error)
        finally:
            self._loop.close()
            self._loop = self._done = None
            self.listening.clear()

    async def _browse_interfaces(self, done: asyncio.Event, interfaces: list[str]) -> str | None:
        zeroconf = AsyncZeroconf(interfaces=interfaces, ip_version=IPVersion.V4Only)
        flooded = asyncio.Event()
        resolver = _Resolver(zeroconf.zeroconf, self._queue_address, flooded.set)
        try:
            zeroconf.zeroconf.async_add_listener(resolver, None)
            browser = AsyncServiceBrowser(zeroconf.zeroconf, SUBTYPE, handlers=[lambda **_: None])
            await zeroconf.zeroconf.async_wait_for_start()
            self.listening.set()
            ended = await self._wait_for_end(done, flooded, interfaces)
            await browser.async_cancel()
            return ended
        finally:
            await resolver.close()
            await zeroconf.async_close()

    async def _wait_for_end(self, done: asyncio.Event, flooded: asyncio.Event, interfaces: list[str]) -> str | None:
        waits = [asyncio.ensure_future(each.wait()) for each in (done, flooded)]
        try:
            while not (done.is_set() or flooded.is_set()):
                await asyncio.wait(waits, timeout=self._again_after, return_when=asyncio.FIRST_COMPLETED)
                if list(self._interfaces()) != interfaces and not done.is_set():
                    return ""
        finally:
            for each in waits:
                each.cancel()
        return STOPPED if done.is_set() else "more names are announced than a home has"

    def _queue_address(self, address: Address) -> None:
        """Queue an address for the workers. zeroconf's loop must not block: in a flood the surplus is dropped, until
        it is announced again."""
        try:
            self._queue.put_nowait(address)
        except Full:
            log.debug("more announcements than can be looked at", extra={"address": str(address)})

    def _process_queue(self) -> None:
        while True:
            address = self._queue.get()
            try:
                self._found(Address.parse(f"{address.host}:{address.port}"))
            except Invalid as error:
                log.debug("an announcement is of no use", extra={"address": str(address), "reason": str(error)})
            except Exception:
                log.exception("an announced miner could not be looked at", extra={"address": str(address)})
