"""Settings of miners: writes, journal, presets, desired state, drift and its repair."""
