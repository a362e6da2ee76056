"""The HTTP views: each parses, calls one service method and serialises."""
