"""Logs: what the miners say, read while somebody wants it, kept in a ring per device, and followed by whoever looks.

A reader puts lines into its device's log; everybody else (Socket.IO clients, downloads, files) has a place in that log
and takes what came since. The ring is the only buffer: who is too slow loses lines and is told how many.
"""
