"""The terms of Equation 5, L = Φ + α·H + β·Ψ, one a file, and the equation itself."""
