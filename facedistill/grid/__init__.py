"""What is trained: the networks, groups and tables that the parameters ask for, and where each trained network lies."""
