"""Patches first: everything under test runs on gevent, as it does under gunicorn."""

from gevent import monkey

monkey.patch_all()
