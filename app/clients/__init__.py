"""Clients of other services: the discovery service and Grafana. They convert library errors into `app.errors`."""
