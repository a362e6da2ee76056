"""Persistent storage in LevelDB, with the Node backend's key layout (contract: keys and list keys in `pluto_core`)."""
