"""The parts of a miner that its request handlers use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .connection import Connection
from .device_state import DeviceState
from .http_messages import Reply, Request
from .info_printer import InfoPrinter
from .miner_log import MinerLog
from .otp import OneTimePasswords
from .websocket_clients import WebSocketClients


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """Parts of one miner for its handlers.

    `report_info` returns the body of /api/system/info, changed by the active fault; `restart` restarts the miner
    for a reset reason and returns at once.
    """

    state: DeviceState
    printer: InfoPrinter
    log: MinerLog
    websockets: WebSocketClients
    otp: OneTimePasswords
    report_info: Callable[[], bytes]
    restart: Callable[[str], None]


Handler = Callable[[HandlerContext, Request, Connection], Reply | None]
"""Answers one request. Returns None if it has written the answer itself (websockets)."""
