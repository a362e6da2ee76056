"""Answers PromQL queries as Prometheus' HTTP API does: from the history, or by a Prometheus."""
