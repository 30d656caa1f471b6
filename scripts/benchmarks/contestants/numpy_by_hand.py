"""NumPy, forward and backward written out, weights updated in place.

B batch, I inputs, O outputs of a layer.
"""

import numpy as np


class NumpyByHand:
    device = "cpu"

    def __init__(self, problem):
        self.problem, self.rng = problem, np.random.default_rng(0)
        self.rate = np.float32(problem.rate)
        self.kernels = [layer["kernel"].astype(np.float32) for layer in problem.parameters]
        self.biases = [layer["bias"].astype(np.float32) for layer in problem.parameters]
        self.first = np.arange(problem.batch_size)

    def follow(self, steps):
        return [float(self._step(*self.problem.batch(step))) for step in range(steps)]

    def train(self, epochs, shuffle):
        x, y, batch = self.problem.x, self.problem.y, self.problem.batch_size
        for _ in range(epochs):
            order = self.rng.permutation(len(x)) if shuffle else np.arange(len(x))
            for start in range(0, len(x), batch):
                rows = order[start : start + batch]
                self._step(x[rows], y[rows])

    def weights(self):
        return [w for pair in zip(self.kernels, self.biases, strict=True) for w in pair]

    def _step(self, x, labels):
        inputs = [x]  # of each layer, (B, I)
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            z = inputs[-1] @ kernel
            z += bias
            inputs.append(np.maximum(z, 0, out=z))
        z = inputs[-1] @ self.kernels[-1]
        z += self.biases[-1]

        z -= z.max(axis=1, keepdims=True)
        exponentials = np.exp(z)
        sums = exponentials.sum(axis=1, keepdims=True)
        loss = (np.log(sums[:, 0]) - z[self.first, labels]).mean()
        dz = exponentials
        dz /= sums
        dz[self.first, labels] -= 1
        dz /= np.float32(len(x))

        for layer in reversed(range(len(self.kernels))):
            y = inputs[layer]
            dkernel, dbias = y.T @ dz, dz.sum(axis=0)
            if layer:
                dz = dz @ self.kernels[layer].T
                dz *= y > 0
            dkernel *= self.rate
            self.kernels[layer] -= dkernel
            dbias *= self.rate
            self.biases[layer] -= dbias
        return loss
