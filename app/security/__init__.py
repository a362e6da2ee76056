"""The HTTP server, and the checks of every request: outside Flask and Socket.IO, since Engine.IO answers before Flask.

`guard.py` defines the order of the checks; each other module is one of them.
"""
