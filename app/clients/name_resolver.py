"""Resolves host names in requests without blocking the event loop."""

from __future__ import annotations

import re

from gevent import monkey, socket
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from app.errors import Invalid, RetryLater
from app.miners.address import Address, AddressRule

DEADLINE_SECONDS = 3.0
# The system's resolver may occupy a thread for 30 s, so it has its own pool: the store and others use the shared one.
MAX_THREADS = 2
MAX_LENGTH = 253

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?")
# Names that libc parses as an IPv4 address in another notation: `127.1`, `0x7f000001`.
_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?")

_getaddrinfo = monkey.get_original("socket", "getaddrinfo")


class NameResolver:
    """Owns the resolver threads. For addresses in requests only: a poll never resolves a name."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule
        self._free = BoundedSemaphore(MAX_THREADS)
        self._pool: ThreadPool | None = None

    def resolve_address(self, text: str) -> Address:
        """Return the address of `text`: an IPv4 address or a host name, with or without a port.

        A name is resolved once and its first allowed address is returned, so that a DNS change between check and
        connection (DNS rebinding) has no effect. Raises Invalid, AddressForbidden, RetryLater.
        """
        host, colon, port = text.strip().lower().partition(":")
        if len(host) > MAX_LENGTH or not _NAME.fullmatch(host) or _NUMERIC.fullmatch(host):
            return self._rule.check_requested_address(Address.parse(text))
        Address.parse(f"127.0.0.1{colon}{port}")  # an invalid port is rejected before the lookup
        found = [Address.parse(f"{ip}{colon}{port}") for ip in self._resolve_host(host)]
        allowed = [address for address in found if self._rule.is_allowed(address.host)]
        return self._rule.check_requested_address((allowed or found)[0])

    def _resolve_host(self, host: str) -> list[str]:
        """Return the IPv4 addresses of `host`, at least one. Raises Invalid, RetryLater."""
        if not self._free.acquire(timeout=DEADLINE_SECONDS):
            raise RetryLater(
                "Other names are still being resolved; try again, or give the IP address", DEADLINE_SECONDS
            )
        self._pool = self._pool or ThreadPool(MAX_THREADS)
        lookup = self._pool.spawn(_look_up_host, host)
        lookup.rawlink(lambda _: self._free.release())  # the thread may end long after the deadline
        lookup.wait(DEADLINE_SECONDS)
        if not lookup.value:
            raise Invalid(
                f"The name {host!r} cannot be resolved from here; give the miner's IP address",
                {"ip": ["This name cannot be resolved."]},
            )
        return list(lookup.value)


def _look_up_host(host: str) -> list[str]:
    """Return the IPv4 addresses of `host`; none on errors: gevent prints the traceback of an exception in a thread."""
    try:
        rows = _getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(row[4][0]) for row in rows]
