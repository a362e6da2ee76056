"""Prometheus metrics: series, rendering and the text format."""
