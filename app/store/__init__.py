"""What survives a restart: LevelDB, laid out as the original keeps it (contract: keys and list keys under
`pluto_core`)."""
