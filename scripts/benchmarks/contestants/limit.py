"""The matrix products of a step and nothing else, by NumPy's BLAS: about the time that no training step can beat.

Per layer of a step: x·kernel, xᵀ·dz and, but for the first layer, dz·kernelᵀ. On the smallest networks what is
measured is the cost of calling BLAS from Python, which a compiled loop does not pay.
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
