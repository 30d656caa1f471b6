"""Two tensors against each other: comparison, tolerances, diagnosis. Knows no function and no network."""
