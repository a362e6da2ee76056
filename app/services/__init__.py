"""What the service does. Nothing here knows HTTP: no flask, no statuses, no schemas."""
