"""Training: the data on its way to the network, the one loop, and what is kept of it."""
