"""The history: time series of each device, of the fleet and of each tag, and the figures derived from them."""
