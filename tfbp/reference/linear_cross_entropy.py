"""The last dense layer and the softmax cross-entropy of its outputs: the mean loss, and its gradients.

N tokens, I inputs, O outputs (classes); x (N, I), kernel (I, O), bias (O,) or None, labels and sample_weight (N,);
z, logits, p = softmax(logits) and target (N, O); losses (N,). Analytic, for complex steps.
"""

import numpy as np

# as a network's last layer it is a dense layer
from tfbp.reference.dense import backward, dense_backward, dense_forward, forward
from tfbp.reference.softmax import log_softmax_forward


def linear_cross_entropy_forward(
    x,
    kernel,
    labels,
    *,
    bias=None,
    sample_weight=None,
    ignore_index=None,
    label_smoothing=0.0,
    z_loss=0.0,
    soft_cap=None,
):
    """Returns Σ sample_weight · losses over the tokens that count, divided by their number; and the residuals."""
    z, dense_residuals = dense_forward(x, kernel, bias)
    logits = z if soft_cap is None else soft_cap * np.tanh(z / soft_cap)
    log_p = log_softmax_forward(logits)
    log_sum_exp = logits[:, 0] - log_p[:, 0]

    counted = np.full(labels.shape, True) if ignore_index is None else labels != ignore_index
    outputs = kernel.shape[1]
    target = (1 - label_smoothing) * np.eye(outputs)[np.where(counted, labels, 0)] + label_smoothing / outputs
    losses = -(target * log_p).sum(axis=1) + z_loss * log_sum_exp**2

    weight = counted * (1.0 if sample_weight is None else sample_weight) / max(1, counted.sum())
    return (weight * losses).sum(), (dense_residuals, logits, log_p, log_sum_exp, target, weight, z_loss, soft_cap)


def linear_cross_entropy_backward(dloss, residuals):
    """Returns dx (N, I), dkernel (I, O) and dbias (O,), from the scalar dloss."""
    dense_residuals, logits, log_p, log_sum_exp, target, weight, z_loss, soft_cap = residuals
    p = np.exp(log_p)
    # loss = Σ weight · losses                                    (N,)
    dlosses = dloss * weight
    # losses = -Σ target log p + z_loss · log_sum_exp²            d -Σ target log p = p - target, for Σ target = 1
    #                                                             d log_sum_exp = p
    dlogits = dlosses[:, None] * (p - target + 2 * z_loss * log_sum_exp[:, None] * p)
    # logits = soft_cap · tanh(z / soft_cap)                      tanh' = 1 - tanh²
    dz = dlogits if soft_cap is None else dlogits * (1 - (logits / soft_cap) ** 2)
    # z = x @ kernel + bias                                       (N, O)
    return dense_backward(dz, dense_residuals)


KINDS = {"LinearCrossEntropy": (forward, backward)}
