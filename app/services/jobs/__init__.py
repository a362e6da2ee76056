"""Jobs: one change for many miners, in waves, that survives a restart of the service and never does a step twice."""
