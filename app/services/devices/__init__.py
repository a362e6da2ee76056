"""Registered devices: registration, the fleet's state in memory, polling, relocation after an address change."""
