"""How fast the project is, as ratios within one run: to what the machine can do at most, and to what people use."""
