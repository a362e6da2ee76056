"""Everything that knows firmware: talking to a miner, its dialects, its numbers, what must not leave it."""
