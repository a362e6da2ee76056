"""One Grafana dashboard per device and one of the fleet: what should be there, and how it gets there."""
