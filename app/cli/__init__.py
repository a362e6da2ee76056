"""The command line: `python -m app.cli`, or `pluto` in the image.

It is a client of the public HTTP and Socket.IO API of a running service, and imports neither Flask nor gevent.
"""
