"""Operations, activations, losses and layers of others, on which the checker is tested."""
