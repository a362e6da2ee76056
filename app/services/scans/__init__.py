"""Scans of the network for new miners, in the background, and the miners that the user ignores."""
