"""Code that depends on firmware: exchanges with a miner, dialects, settings, measurements and logs."""
