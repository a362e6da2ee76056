"""Discovery of miners on the network: scanner, mDNS, an external discovery service, and what they have seen."""
