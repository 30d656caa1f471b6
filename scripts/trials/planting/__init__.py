"""Mistakes planted one at a time, to see that the harness finds each, names the tensor, and says what it is."""
