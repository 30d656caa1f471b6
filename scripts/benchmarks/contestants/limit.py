"""Computes only the matrix products of a step, by NumPy's BLAS: about a lower bound of a training step's time.

For each layer: x·kernel, xᵀ·dz and, except in the first layer, dz·kernelᵀ. On the smallest networks this measures the
cost of calling BLAS from Python, which a compiled loop does not have.
"""

import numpy as np


class Limit:
    device = "cpu"

    def __init__(self, problem):
        self.problem = problem
        batch, rng = problem.batch_size, np.random.default_rng(0)
        inputs = [rng.normal(size=(batch, width)).astype(np.float32) for width in problem.widths]
        self.products = []
        for index, layer in enumerate(problem.parameters):
            kernel = layer["kernel"].astype(np.float32)
            x, dz = inputs[index], inputs[index + 1]
            self.products += [(x, kernel), (x.T, dz)] + ([(dz, kernel.T)] if index else [])
        self.products = [(a, b, np.empty((len(a), b.shape[1]), np.float32)) for a, b in self.products]

    def train(self, epochs, shuffle):
        dot, products = np.dot, self.products
        for _ in range(epochs * self.problem.steps):
            for a, b, out in products:
                dot(a, b, out)
