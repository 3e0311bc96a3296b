"""What was measured: every number, how sure it is, what the papers claim of it, and the data and training behind it."""
