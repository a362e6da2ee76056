"""The handlers of info, asic, restart, identify, pause, resume, logs, statistics, OTP sessions and the page."""

from __future__ import annotations

import secrets
import time

import gevent

from .asic_boards import describe_asic
from .cjson import print_json
from .connection import Connection
from .context import HandlerContext
from .device_state import ResetReason
from .http_messages import CORS, HTML, TEXT, Reply, Request

IDENTIFY_SECONDS = 30.0
STAMP = b"simulatorWroteNs"
PAGE = b"<!DOCTYPE html><html><head><title>AxeOS</title></head><body><app-root></app-root></body></html>"


def get_page(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """Return the page of the web interface."""
    return Reply(body=PAGE, content_type=HTML)


def get_info(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """GET /api/system/info."""
    body = context.report_info()
    return Reply(body=add_stamp(body, time.monotonic_ns()) if context.state.spec.stamp else body)


def add_stamp(body: bytes, now: int) -> bytes:
    """Insert `now` as the first member of a JSON object.

    `now` is CLOCK_MONOTONIC in ns, which all processes of a computer share.
    """
    return b'{"%s":%d,%s' % (STAMP, now, body[1:])


def get_asic(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """GET /api/system/asic: with names and defaults since AxeOS 2.9, with hash domains since 2.15."""
    state = context.state
    if state.spec.asic_body is not None:
        return Reply(body=state.spec.asic_body)
    generation = state.generation
    document = describe_asic(
        state.board,
        names=generation.nerd or generation.is_at_least(2, 9),
        domains=generation.is_at_least(2, 15),
        nerd=generation.nerd,
    )
    return Reply(body=print_json(document).encode())


def restart_miner(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """POST /api/system/restart: the answer is text up to AxeOS 2.12 and on NerdOS, JSON since 2.13.

    The firmware sends the answer, sleeps and then resets the chip. It serves no other request in between.
    """

    def restart_after_delay() -> None:
        gevent.sleep(context.state.timings.before_restart)
        context.restart(ResetReason.SOFTWARE)

    reply = _make_message(context, "System will restart shortly.")
    reply.after = restart_after_delay
    return reply


def toggle_identify(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """POST /api/system/identify: a second call within 30 s turns it off."""
    state = context.state
    state.identify_until = 0.0 if state.is_identifying else state.clock() + IDENTIFY_SECONDS
    if state.is_identifying:
        return _make_message(context, 'The device says "Hi!" for 30 seconds.')
    return _make_message(context, 'The device no longer says "Hi!".')


def pause_mining(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """POST /api/system/pause: kept in RAM only; idempotent."""
    machine = context.state.machine
    machine.paused = True
    machine.update_plan(context.state.clock())
    return _make_message(context, "Mining paused")


def resume_mining(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """POST /api/system/resume: raising the frequency takes seconds."""
    state = context.state
    if state.machine.paused:
        state.machine.paused = False
        state.machine.stop_hashing(state.clock(), state.timings.resume)
    return _make_message(context, "Mining resumed")


def _make_message(context: HandlerContext, text: str) -> Reply:
    """Return plain text as text/html up to AxeOS 2.12, `{"message": …}` since 2.13."""
    generation = context.state.generation
    if generation.is_at_least(2, 13):
        return Reply(body=print_json({"message": text}).encode())
    return Reply(body=text.encode(), content_type=TEXT if generation.nerd else HTML)


def get_logs(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """GET /api/system/logs: the whole ring buffer, chunked."""
    name = ("Content-Disposition", 'attachment; filename="bitaxe-logs.txt"')
    body = context.log.read_ring(context.state.clock())
    return Reply(body=body, content_type=TEXT, chunked=True, headers=(name, *CORS))


def get_scoreboard(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """GET /api/system/scoreboard: always empty."""
    return Reply(body=b"[]")


def get_statistics(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """GET /api/system/statistics: no samples, as with statsFrequency 0. Times are in ms since boot."""
    state = context.state
    uptime = int((state.clock() - state.machine.booted_at) * 1000)
    document = {"currentTimestamp": uptime, "labels": [], "statistics": []}
    return Reply(body=print_json(document).encode())


def create_otp_session(context: HandlerContext, request: Request, connection: Connection) -> Reply:
    """POST /api/v2/otp/session: a session token for a correct code (NerdOS)."""
    if not context.otp.is_code_correct(request.headers.get("x-totp", "")):
        return context.otp.refuse_request(context.state.clock())
    token = secrets.token_hex(16)
    context.otp.sessions.add(token)
    return Reply(body=print_json({"token": token, "ttlMs": 86_400_000}).encode())
