"""The HTTP and Socket.IO skin: a view parses, calls one service method and dumps."""
