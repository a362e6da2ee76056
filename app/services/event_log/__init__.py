"""The event log: changes of devices, jobs and the service, kept for 400 days."""
