"""Functions of the kinds that people write, and the mistakes that are made in their gradients."""
