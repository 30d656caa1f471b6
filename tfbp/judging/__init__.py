"""Compares two tensors: comparison, tolerances, diagnosis. Independent of functions and networks."""
