"""How much a child may use: what limits it, what watches it, and which limit ended it."""
