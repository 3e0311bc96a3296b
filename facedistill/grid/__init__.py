"""What is trained: the networks, groups and tables of a parameter file, and the address of each trained network."""
