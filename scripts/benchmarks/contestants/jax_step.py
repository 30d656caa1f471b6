"""JAX: one jitted step, called once a batch; the data are on the device and the step gathers its rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contestants import Unavailable

# on a GPU JAX would take TF32
jax.config.update("jax_default_matmul_precision", "highest")


def loss(parameters, x, y):
    """Returns the mean sparse softmax cross-entropy of a relu network."""
    *hidden, last = parameters
    for kernel, bias in hidden:
        x = jax.nn.relu(x @ kernel + bias)
    log_probabilities = jax.nn.log_softmax(x @ last[0] + last[1])
    return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1))


@partial(jax.jit, donate_argnums=0)
def step(parameters, x, y, rows, rate):
    """Returns the parameters after plain SGD on some rows, and the loss before."""
    value, gradients = jax.value_and_grad(loss)(parameters, x[rows], y[rows])
    return jax.tree.map(lambda w, dw: w - rate * dw, parameters, gradients), value


class JaxStep:
    def __init__(self, problem):
        try:
            jax.devices("cuda" if problem.device == "gpu" else "cpu")
        except (RuntimeError, AssertionError):  # the second where JAX has no plugin for GPUs
            raise Unavailable(f"this jax finds no {problem.device.upper()} here") from None
        self.problem, self.rng = problem, np.random.default_rng(0)
        self.x, self.y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        self.parameters = [
            (jnp.asarray(layer["kernel"], jnp.float32), jnp.asarray(layer["bias"], jnp.float32))
            for layer in problem.parameters
        ]

    def follow(self, steps):
        return [float(self._step(rows)) for rows in self._order(shuffle=False)[:steps]]

    def train(self, epochs, shuffle):
        for _ in range(epochs):
            for rows in self._order(shuffle):
                self._step(rows)
        jax.block_until_ready(self.parameters)

    def weights(self):
        return [np.asarray(w) for layer in self.parameters for w in layer]

    @property
    def device(self):
        found = {device.platform for leaf in jax.tree.leaves(self.parameters) for device in leaf.devices()}
        return ", ".join(sorted(found))

    def _step(self, rows):
        self.parameters, value = step(self.parameters, self.x, self.y, rows, self.problem.rate)
        return value

    def _order(self, shuffle):
        """Returns the rows of each batch of an epoch, (steps, batch)."""
        order = np.arange(len(self.problem.x), dtype=np.int32)
        if shuffle:
            self.rng.shuffle(order)
        return order.reshape(self.problem.steps, -1)
