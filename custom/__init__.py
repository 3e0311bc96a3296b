"""The user's own Ψ, Φ and architectures; nothing of the package imports them but by their names in params.yaml."""
