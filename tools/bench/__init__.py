"""`make bench`: what the service costs and how late it is, beside a bare loop and a Prometheus on the same miners.

docs/performance.md says how it measures and what each row means.
"""
