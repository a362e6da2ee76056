"""Device logs: read while there are listeners, kept in a ring buffer per device, and followed with cursors.

A reader appends lines to its device's log. Each consumer (Socket.IO client, download, file) has a cursor in that log
and reads the lines after it. The ring is the only buffer: a consumer that is too slow loses lines and gets their
number.
"""
