"""Each example's own gradient, by one backward pass for each example, as the definitions say.

B batch, L layers; g_b is the gradient of sample_weight[b] · losses[b], without 1/B and without penalties.
"""

import numpy as np

from tfbp.checks import check_clip
from tfbp.reference.backprop import loss_and_gradients
from tfbp.reference.regularizers import penalty_backward


def example_gradients(network, parameters, x, y, sample_weight=None):
    """g_b of every example: as `parameters`, each array with a first axis B more."""
    examples = network.without_penalties()
    gradients = []
    for b in range(len(x)):
        weight = None if sample_weight is None else sample_weight[b : b + 1]
        gradients.append(loss_and_gradients(examples, parameters, x[b : b + 1], y[b : b + 1], weight)[1])
    return [
        {name: np.stack([gradient[index][name] for gradient in gradients]) for name in layer}
        for index, layer in enumerate(parameters)
    ]


def gradient_norms(network, parameters, x, y, sample_weight=None):
    """‖g_b‖ in each layer, (B, L)."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    return np.array(
        [[np.sqrt(sum((g[b] ** 2).sum() for g in layer.values())) for layer in gradients] for b in range(len(x))]
    )


def loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight=None):
    """The loss, and 1/B Σ_b min(1, clip / ‖g_b‖) g_b + the gradient of the penalties."""
    check_clip("clip", clip)
    loss, _ = loss_and_gradients(network, parameters, x, y, sample_weight)
    examples = example_gradients(network, parameters, x, y, sample_weight)
    clipped = [{name: np.zeros(np.shape(w)) for name, w in layer.items()} for layer in parameters]
    for b in range(len(x)):
        norm = np.sqrt(sum((g[b] ** 2).sum() for layer in examples for g in layer.values()))
        factor = clip / norm if norm > clip else 1.0
        for total, layer in zip(clipped, examples, strict=True):
            for name, g in layer.items():
                total[name] += factor * g[b] / len(x)
    for total, layer, weights in zip(clipped, network.layers, parameters, strict=True):
        for name, w in weights.items():
            regularizer = getattr(layer, f"{name}_regularizer")
            if regularizer is not None:
                total[name] += penalty_backward(regularizer, np.asarray(w, np.float64))
    return loss, clipped


def gradient_mean_and_variance(network, parameters, x, y, sample_weight=None):
    """The mean and the variance of g_b over the batch, elementwise, each in the shape of `parameters`."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    mean = [{name: g.mean(axis=0) for name, g in layer.items()} for layer in gradients]
    variance = [{name: g.var(axis=0) for name, g in layer.items()} for layer in gradients]
    return mean, variance
