"""Pluto: finds Bitaxe-family miners, registers them, polls them and shows them.

Importing the package imports nothing else: gunicorn's master, which only holds a lock, imports parts of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from app.clock import Clock
    from app.services.logs.reader_policy import ReaderPolicy
    from app.settings import Settings


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    rng: Callable[[], float] | None = None,
    log_policy: ReaderPolicy | None = None,
) -> Flask:
    """Return the WSGI application (see app/application.py), which starts nothing."""
    from app import application

    return application.create_app(settings, clock=clock, rng=rng, log_policy=log_policy)
