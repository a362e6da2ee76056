"""Pluto: finds Bitaxe-family miners, registers them, polls them and shows them.

Importing the package imports nothing else: gunicorn's master, which only holds a lock, imports parts of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def create_app(settings: Settings, **collaborators: Any) -> Flask:
    """Return the WSGI application (see app/application.py), which starts nothing."""
    from app import application

    return application.create_app(settings, **collaborators)
