"""Pluto: finds Bitaxe-family miners, registers them, watches them and shows them.

This module imports nothing: gunicorn's master, which only holds a lock, imports parts of the package.
`app.application` makes the WSGI application.
"""
