"""The questions that a gradient must answer, a module each."""
