"""Your own networks."""
