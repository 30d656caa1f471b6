"""What a person types: `tfbp train`, `tfbp check`, `tfbp seed`. Options are read before TensorFlow is imported."""
