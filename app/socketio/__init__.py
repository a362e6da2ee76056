"""Socket.IO: the server, subscriptions, log feeds and backpressure."""
