"""Mistakes planted one at a time, to test that the harness finds each, and names the tensor and the mistake."""
