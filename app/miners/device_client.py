"""Requests to one miner. Answers become our types, and failures become DeviceError."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import orjson
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from app.clock import Clock
from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceError,
    DeviceLocked,
    DeviceRedirected,
    DeviceRefused,
    DeviceRejected,
    DeviceStatus,
    DeviceTimeout,
    OneTimeCodeRequired,
    UnsupportedCommand,
)
from app.miners.address import Address
from app.miners.cleaning import clean_info
from app.miners.dialects import detect_dialect, is_miner
from app.miners.exchange_log import LoggedConnection, MacAt
from app.miners.http_connection import CONNECT_TIMEOUT, Reply
from app.miners.known_fields import select_known_fields
from app.miners.mac import canonical_mac
from app.miners.vendor_options import Board, parse_board
from app.models import Reading
from app.redaction.json_objects import list_secret_values, redact_object
from app.redaction.miner_text import MAX_EXCERPT_INPUT, redact_excerpt, redact_texts
from app.throttle import yield_if_due

INFO = "/api/system/info"
ASIC = "/api/system/asic"
RESTART = "/api/system/restart"
LOGS = "/api/system/logs"
SYSTEM = "/api/system"
# Timeouts of device calls: each bounds the whole call, from the connection to the last byte.
READ_DEADLINE_SECONDS = 4.0
COMMAND_DEADLINE = 10.0
LOGS_DEADLINE = 20.0
MAX_LOGS = 640 * 1024
MAX_WRITE = 10240
# A string, also one without an end, or a number that JSON cannot express. The possessive quantifiers and the
# alternative for the missing end keep it linear: the body is untrusted.
_STRING_OR_NON_FINITE = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(?<![\w.+-])[+-]?(?:nan|inf(?:inity)?)(?![\w.+-])',
    re.DOTALL | re.IGNORECASE,
)
# A miner's answer to a command: a JSON value or a text.
Answer = Any
# Commands without a body, and the AxeOS release that introduced each. NerdOS has none of them.
COMMANDS = {"identify": "2.12", "pause": "2.14", "resume": "2.14"}


class Miner:
    """One address with one connection, for one call at a time. The caller verifies the MAC in the answer."""

    def __init__(
        self,
        address: Address,
        check: Callable[[Address], object],
        clock: Clock,
        connect_timeout: float,
        mac_at: MacAt = lambda address: None,
    ) -> None:
        self.address = address
        self._connection = LoggedConnection(address, check, connect_timeout, mac_at)
        self._clock = clock
        self._lock = BoundedSemaphore(1)
        self._keep_alive = False

    @contextmanager
    def lock(self, timeout: float | None = None) -> Iterator[bool]:
        """Lock the miner. Yields False if another greenlet still has the lock after `timeout` seconds (0: no wait)."""
        acquired = self._lock.acquire(blocking=timeout != 0, timeout=timeout)
        try:
            yield acquired
        finally:
            if acquired:
                self._lock.release()

    def fetch_info(self, deadline: float, *, keep_open: bool = False, only_known: bool = False) -> Reading:
        """Return the miner's answer to GET /api/system/info.

        `keep_open`: leave the connection open for a command that follows at once. `only_known`: drop the fields that
        this service does not use. Raises DeviceError.
        """
        reply = self._connection.send_request("GET", INFO, deadline=deadline, keep_open=keep_open or self._keep_alive)
        reading = _parse_reading(reply, self._clock, only_known=only_known)
        self._keep_alive = detect_dialect(reading.info).keep_alive
        return reading

    def fetch_board(self, deadline: float) -> Board:
        """Return model, chip count and options of /api/system/asic. Raises DeviceError, also if the path is unknown."""
        return parse_board(
            parse_object(self._connection.send_request("GET", ASIC, deadline=deadline, keep_open=self._keep_alive))
        )

    def restart(self) -> Answer:
        """Restart the miner and return its answer.

        The firmware answers, sleeps a second and resets, so a connection that ends after the request was sent is
        success. Raises DeviceError.
        """
        try:
            return _parse_answer(
                self._connection.send_request("POST", RESTART, deadline=COMMAND_DEADLINE, keep_open=False)
            )
        except DeviceDropped:
            return ""

    def write_settings(self, body: Mapping[str, Any]) -> None:
        """Send PATCH /api/system on the connection that `fetch_info` left open.

        The answer (an empty text/html 200) does not prove that the values were applied; only a later reading does.
        Raises DeviceError: OneTimeCodeRequired if NerdOS requires its one-time code, DeviceRejected for a 400.
        """
        secrets = list_secret_values(body)
        message = orjson.dumps(body)
        reply = self._connection.send_request("PATCH", SYSTEM, message, deadline=COMMAND_DEADLINE, keep_open=True)
        if reply.status == 401 and b"OTP" in reply.body:
            raise OneTimeCodeRequired
        if reply.status == 400:
            raise DeviceRejected(reply.status, _redact_body(reply, secrets))
        _require_success(reply, secrets)

    def send_command(self, name: str) -> Answer:
        """Send POST /api/system/<name>, one of COMMANDS, and return the miner's answer.

        Raises DeviceError: UnsupportedCommand for firmware without this command, which answers 404 (AxeOS ≥ 2.15) or
        405, or redirects to its page.
        """
        try:
            return _parse_answer(
                self._connection.send_request(
                    "POST", f"{SYSTEM}/{name}", deadline=COMMAND_DEADLINE, keep_open=self._keep_alive
                )
            )
        except DeviceRedirected:
            raise UnsupportedCommand(name, COMMANDS[name]) from None
        except DeviceStatus as error:
            if error.status in (404, 405):
                raise UnsupportedCommand(name, COMMANDS[name]) from None
            raise

    def fetch_past_log(self) -> bytes:
        """Return the miner's past log, unredacted (AxeOS ≥ 2.14: a ring of 512 KB that survives a restart)."""
        reply = self._connection.send_request("GET", LOGS, deadline=LOGS_DEADLINE, keep_open=True, limit=MAX_LOGS)
        _require_success(reply)
        return reply.body

    def set_connect_timeout(self, timeout: float) -> None:
        self._connection.connect_timeout = timeout

    def close_if_not_keep_alive(self) -> None:
        """Close the connection after a command, unless the dialect allows keep-alive.

        AxeOS before 2.10 purges no idle sockets and has only a few.
        """
        if not self._keep_alive:
            self.close()

    def close(self) -> None:
        """Close the connection; a pending call then fails. The next call opens another."""
        self._connection.close()


class MinerRegistry:
    """One Miner per address while it is referenced, so that polls, commands and scans share its lock."""

    def __init__(self, check: Callable[[Address], object], clock: Clock, mac_at: MacAt = lambda address: None) -> None:
        self._check = check
        self._clock = clock
        self._mac_at = mac_at
        self._by_address: WeakValueDictionary[Address, Miner] = WeakValueDictionary()
        self._probes: dict[Address, AsyncResult[Reading]] = {}

    def get_miner(self, address: Address) -> Miner:
        miner = self._by_address.get(address)
        if miner is None:
            miner = self._by_address[address] = Miner(address, self._check, self._clock, CONNECT_TIMEOUT, self._mac_at)
        miner.set_connect_timeout(CONNECT_TIMEOUT)  # a probe may have set a shorter one
        return miner

    def probe_address(self, address: Address, *, connect_timeout: float = 1.0, deadline: float = 3.0) -> Reading:
        """Request the info of an address once, and close the connection. Concurrent calls share one request.

        Raises DeviceError, also if the peer is not a miner.
        """
        shared = self._probes.get(address)
        if shared is None:
            shared = self._probes[address] = AsyncResult()
            try:
                shared.set(self._fetch_reading(address, connect_timeout, deadline))
            except DeviceError as error:
                shared.set_exception(error)
            except BaseException:
                shared.set_exception(DeviceDropped("The probe was ended"))
                raise
            finally:
                del self._probes[address]
        reading: Reading = shared.get()
        return reading

    def _fetch_reading(self, address: Address, connect_timeout: float, deadline: float) -> Reading:
        existing = self._by_address.get(address)
        miner = existing or Miner(address, self._check, self._clock, connect_timeout, self._mac_at)
        self._by_address[address] = miner  # a concurrent command or poll then waits for the same lock
        with miner.lock(deadline) as free:
            if not free:
                raise DeviceTimeout(f"{address} is busy")
            try:
                return miner.fetch_info(deadline, only_known=True)
            finally:
                if existing is None:
                    miner.close()


def _parse_reading(reply: Reply, clock: Clock, *, only_known: bool) -> Reading:
    yield_if_due()  # a scan may have many large answers ready at once
    body = parse_object(reply)
    info = clean_info(select_known_fields(body) if only_known else body)
    if not is_miner(info):
        raise DeviceBadPayload("The answer is not a miner's")
    return Reading(info, canonical_mac(info.get("macAddr")), clock.now(), clock.moment())


def parse_object(reply: Reply) -> Mapping[str, Any]:
    """Return the JSON object of a successful answer. The content type is ignored: old firmware sends text/html.

    Raises DeviceError.
    """
    _require_success(reply)
    raw = reply.body.removeprefix(b"\xef\xbb\xbf")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = _parse_tolerantly(raw)
    if not isinstance(body, dict):
        raise DeviceBadPayload("The answer is not a JSON object")
    return body


def _parse_tolerantly(raw: bytes) -> Any:
    """Parse JSON with invalid UTF-8 or bare `nan` and `inf`, which become null. Raises DeviceBadPayload."""
    try:
        return orjson.loads(_STRING_OR_NON_FINITE.sub(_null_unless_string, raw.decode(errors="replace")))
    except orjson.JSONDecodeError:
        raise DeviceBadPayload("The answer is not JSON") from None


def _null_unless_string(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else "null"


def _require_success(reply: Reply, secrets: Sequence[str] = ()) -> None:
    if reply.status == 401:
        raise DeviceLocked if "www-authenticate" in reply.headers else DeviceRefused
    if 300 <= reply.status < 400:
        raise DeviceRedirected("The device redirects elsewhere, which is not followed")
    if not 200 <= reply.status < 300:
        raise DeviceStatus(reply.status, _redact_body(reply, secrets), _parse_retry_after(reply))


def _parse_retry_after(reply: Reply) -> float:
    """Return the seconds in Retry-After, or 0. A date is ignored: a miner does not know the time."""
    header = reply.headers.get("retry-after", "") if reply.status in (429, 503) else ""
    return float(header) if header.isdecimal() and len(header) < 10 else 0.0


def _parse_answer(reply: Reply) -> Answer:
    """Return a command's answer, redacted: the text of `message` (AxeOS since 2.13), else the JSON value, else plain
    text (AxeOS before 2.13, NerdOS)."""
    _require_success(reply)
    if len(reply.body) > MAX_EXCERPT_INPUT:
        return _redact_body(reply)
    try:
        body = orjson.loads(reply.body)
        if isinstance(body, dict) and isinstance(body.get("message"), str):
            return redact_excerpt(body["message"])
        return redact_texts(redact_object({"answer": body})["answer"])
    except (orjson.JSONDecodeError, DeviceBadPayload):
        return _redact_body(reply)


def _redact_body(reply: Reply, secrets: Sequence[str] = ()) -> str:
    """Return the redacted beginning of an answer. `secrets`: values of the request, which the miner may quote."""
    return redact_excerpt(reply.body[:MAX_EXCERPT_INPUT].decode(errors="replace"), secrets)
