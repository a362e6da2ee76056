"""The other services that this one talks to: discovery and Grafana. Foreign errors become ours at this edge."""
