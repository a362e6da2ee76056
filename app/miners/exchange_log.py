"""One DEBUG line per exchange with a device: `mac`, `address`, `operation`, `duration_ms`, `outcome`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from app.errors import DeviceError
from app.miners.address import Address
from app.miners.http_connection import MAX_BODY, MinerConnection, Reply

log = logging.getLogger(__name__)

MacAt = Callable[[Address], str | None]


class LoggedConnection(MinerConnection):
    """A connection that logs its exchanges if the level is DEBUG. `mac_at` returns the MAC of the device that is
    registered at an address, or None."""

    def __init__(
        self, address: Address, check: Callable[[Address], object], connect_timeout: float, mac_at: MacAt
    ) -> None:
        super().__init__(address, check, connect_timeout)
        self._mac_at = mac_at

    def send_request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        deadline: float,
        keep_open: bool,
        limit: int = MAX_BODY,
    ) -> Reply:
        if not log.isEnabledFor(logging.DEBUG):
            return super().send_request(method, path, body, deadline=deadline, keep_open=keep_open, limit=limit)
        began, outcome = time.monotonic(), "aborted"
        try:
            reply = super().send_request(method, path, body, deadline=deadline, keep_open=keep_open, limit=limit)
            outcome = f"status {reply.status}"
            return reply
        except DeviceError as error:
            outcome = error.reason
            raise
        finally:
            fields = {
                "mac": self._mac_at(self.address),
                "address": str(self.address),
                "operation": f"{method} {path}",
                "duration_ms": round((time.monotonic() - began) * 1000, 1),
                "outcome": outcome,
            }
            log.debug("device exchange", extra=fields)
