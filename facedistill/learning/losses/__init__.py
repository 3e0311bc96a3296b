"""The terms of Equation 5, L = Φ + α·H + β·Ψ, one in each file, and the equation itself.

docs/bibliography.md lists the papers with their links.
"""
