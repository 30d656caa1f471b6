"""Bounds the distance of two writings: rounding errors measured by running the reference with random ones."""
