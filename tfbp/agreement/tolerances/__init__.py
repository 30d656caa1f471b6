"""How far two writings may differ: rounding errors measured by running the reference with random ones."""
