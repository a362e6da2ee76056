"""Creates and publishes Grafana dashboards: one per device and one for the fleet."""
