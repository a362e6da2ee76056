"""The handlers that read or act: info, asic, restart, identify, pause, resume, logs and the page."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import gevent

from .boards import asic_document
from .http import CORS, HTML, TEXT, Reply, Request

if TYPE_CHECKING:
    from .connection import Connection
    from .miner import Miner

IDENTIFY_SECONDS = 30.0
STAMP = b"simulatorWroteNs"
PAGE = b"<!DOCTYPE html><html><head><title>AxeOS</title></head><body><app-root></app-root></body></html>"


def page(miner: Miner, request: Request, connection: Connection) -> Reply:
    """The web interface."""
    return Reply(body=PAGE, content_type=HTML)


def system_info(miner: Miner, request: Request, connection: Connection) -> Reply:
    """GET /api/system/info."""
    body = miner.reported_info()
    return Reply(body=stamped(body, time.monotonic_ns()) if miner.spec.stamp else body)


def stamped(body: bytes, now: int) -> bytes:
    """A JSON object with `now` (CLOCK_MONOTONIC in ns, which all processes of a machine share) as its first member."""
    return b'{"%s":%d,%s' % (STAMP, now, body[1:])


def asic(miner: Miner, request: Request, connection: Connection) -> Reply:
    """GET /api/system/asic: names and defaults since AxeOS 2.9, hash domains since 2.15."""
    generation = miner.generation
    if miner.spec.asic_body is not None:
        return Reply(body=miner.spec.asic_body)
    document = asic_document(
        miner.board,
        names=generation.nerd or generation.since(2, 9),
        domains=generation.since(2, 15),
        nerd=generation.nerd,
    )
    return Reply(body=generation.printed(document).encode())


def restart(miner: Miner, request: Request, connection: Connection) -> Reply:
    """POST /api/system/restart: text up to 2.12 and on NerdOS, JSON from 2.13 on. The handler sends, sleeps
    and resets the chip; nobody else is served in between."""

    def go() -> None:
        gevent.sleep(miner.timings.before_restart)
        miner.restart()

    reply = _message(miner, "System will restart shortly.")
    reply.after = go
    return reply


def identify(miner: Miner, request: Request, connection: Connection) -> Reply:
    """POST /api/system/identify toggles: a second call within 30 s turns it off."""
    miner.identify_until = 0.0 if miner.identifying else miner.now() + IDENTIFY_SECONDS
    if miner.identifying:
        return _message(miner, 'The device says "Hi!" for 30 seconds.')
    return _message(miner, 'The device no longer says "Hi!".')


def pause(miner: Miner, request: Request, connection: Connection) -> Reply:
    """POST /api/system/pause: in RAM only, idempotent."""
    miner.machine.paused = True
    miner.machine.replan(miner.now())
    return _message(miner, "Mining paused")


def resume(miner: Miner, request: Request, connection: Connection) -> Reply:
    """POST /api/system/resume: winding the frequency up takes seconds."""
    if miner.machine.paused:
        miner.machine.paused = False
        miner.machine.halt(miner.now(), miner.timings.resume)
    return _message(miner, "Mining resumed")


def _message(miner: Miner, text: str) -> Reply:
    """Plain text as text/html up to 2.12, `{"message": …}` from 2.13 on."""
    if miner.generation.since(2, 13):
        return Reply(body=miner.generation.printed({"message": text}).encode())
    return Reply(body=text.encode(), content_type=TEXT if miner.generation.nerd else HTML)


def logs(miner: Miner, request: Request, connection: Connection) -> Reply:
    """GET /api/system/logs: the whole ring, chunked."""
    named = ("Content-Disposition", 'attachment; filename="bitaxe-logs.txt"')
    return Reply(body=miner.log.ring_bytes(miner.now()), content_type=TEXT, chunked=True, headers=(named, *CORS))


def scoreboard(miner: Miner, request: Request, connection: Connection) -> Reply:
    """GET /api/system/scoreboard: nothing worth a place yet."""
    return Reply(body=b"[]")


def statistics(miner: Miner, request: Request, connection: Connection) -> Reply:
    """GET /api/system/statistics: no samples, as with statsFrequency 0. Times are ms since boot."""
    stamp = int((miner.now() - miner.machine.booted_at) * 1000)
    return Reply(body=miner.generation.printed({"currentTimestamp": stamp, "labels": [], "statistics": []}).encode())


def otp_session(miner: Miner, request: Request, connection: Connection) -> Reply:
    """POST /api/v2/otp/session: a token for a right code (NerdOS)."""
    if not miner.otp.code_is_right(request.headers.get("x-totp", "")):
        return miner.otp.refusal(miner.now())
    token = secrets.token_hex(16)
    miner.otp.sessions.add(token)
    return Reply(body=miner.generation.printed({"token": token, "ttlMs": 86_400_000}).encode())
