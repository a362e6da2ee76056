"""`make bench`: cost and lateness of the service, beside a bare loop and a Prometheus on the same miners.

docs/performance.md describes how it measures and the meaning of each row.
"""
