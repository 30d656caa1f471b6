"""Computes each example's gradient by one backward pass for each example, as defined.

B batch, L layers; g_b is the gradient of sample_weight[b] · losses[b], without 1/B and without penalties.
"""

import numpy as np

from tfbp.errors import check_positive
from tfbp.network import Private, at, map_weights, named_weights
from tfbp.reference.backprop import loss_and_gradients
from tfbp.reference.regularizers import penalty_backward


def example_gradients(network, parameters, x, y, sample_weight=None):
    """Returns g_b of every example: in the shape of `parameters`, each array with a first axis B."""
    examples = network.without_penalties()
    gradients = []
    for b in range(len(x)):
        weight = None if sample_weight is None else sample_weight[b : b + 1]
        gradients.append(loss_and_gradients(examples, parameters, x[b : b + 1], y[b : b + 1], weight)[1])
    return _stacked(gradients)


def gradient_norms(network, parameters, x, y, sample_weight=None):
    """Returns ‖g_b‖ in each layer, (B, L)."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    return np.array(
        [[np.sqrt(sum((g[b] ** 2).sum() for g in _of(layer))) for layer in gradients] for b in range(len(x))]
    )


def loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight=None):
    """Returns the loss, and 1/B Σ_b min(1, clip / ‖g_b‖) g_b + the gradient of the penalties."""
    loss, _ = loss_and_gradients(network, parameters, x, y, sample_weight)
    private = Private(clip, map_weights(lambda w: np.zeros(np.shape(w)), parameters), len(x))
    return loss, private_gradients(network, parameters, x, y, private, sample_weight)


def private_gradients(network, parameters, x, y, private, sample_weight=None):
    """Returns (Σ_b min(1, clip / ‖g_b‖) g_b + noise) / expected + the gradient of the penalties, of a `Private`.

    Reference: Abadi et al., Deep learning with differential privacy (2016), https://arxiv.org/abs/1607.00133
    """
    clip, noise, expected = private
    check_positive("clip", clip)
    examples = example_gradients(network, parameters, x, y, sample_weight)
    found = map_weights(lambda g: np.zeros(g.shape[1:]), examples)
    for place, name, total in list(named_weights(found)):
        at(found, place)[name] = total + np.asarray(at(noise, place)[name], np.float64) / expected
    for b in range(len(x)):
        norm = np.sqrt(sum((g[b] ** 2).sum() for _, _, g in named_weights(examples)))
        factor = clip / norm if norm > clip else 1.0
        for place, name, g in named_weights(examples):
            at(found, place)[name] += factor * g[b] / expected
    for place, name, regularizer in network.penalties:
        w = np.asarray(at(parameters, place)[name], np.float64)
        at(found, place)[name] += penalty_backward(regularizer, w)
    return found


def gradient_mean_and_variance(network, parameters, x, y, sample_weight=None):
    """Returns the mean and the variance of g_b over the batch, elementwise, each in the shape of `parameters`."""
    gradients = example_gradients(network, parameters, x, y, sample_weight)
    return tuple(map_weights(lambda g, moment=moment: moment(g, axis=0), gradients) for moment in (np.mean, np.var))


def _stacked(gradients):
    """Stacks the nested lists of gradients of all examples to one list, with a first axis B."""
    weights = zip(*([w for _, _, w in named_weights(gradient)] for gradient in gradients), strict=True)
    return map_weights(lambda _: np.stack(next(weights)), gradients[0])


def _of(layer):
    return [w for _, _, w in named_weights([layer])]
