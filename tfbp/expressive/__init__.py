"""Functions that networks can represent: Boolean functions exactly, continuous functions to any precision."""
