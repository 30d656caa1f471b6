"""Functions that such networks can represent: Boolean functions exactly, continuous functions to any precision."""
