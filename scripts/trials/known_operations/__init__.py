"""Operations, activations, losses and layers that nobody here wrote, on which the checker is tried."""
