"""How fast the project is, as ratios in one run: against the limit, and against what people use."""
