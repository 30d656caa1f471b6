"""The instruments that measure a function: slopes, complex steps, rounding noise, paths through its variables."""
