"""The table of embeddings, and its gradient.

B batch, T tokens of an example, V rows of the table, O their width; x (B, T) integers, embeddings (V, O), y (B, T, O).
"""

import numpy as np


def embedding_forward(x, embeddings):
    """Returns y[b, t] = embeddings[x[b, t]]; the residuals are x and V."""
    return embeddings[x], (x, len(embeddings))


def embedding_backward(dy, residuals):
    """Returns dembeddings (V, O): a row is the sum of dy over all its lookups, 0 without one."""
    x, rows = residuals
    dembeddings = np.zeros((rows, dy.shape[-1]), dy.dtype)
    for token in np.unique(x):
        # y[b, t] = embeddings[token] wherever x[b, t] is token
        dembeddings[token] = dy[x == token].sum(axis=0)
    return dembeddings


def forward(layer, weights, x, *, training, seed):
    return *embedding_forward(x, weights["embeddings"]), {}


def backward(layer, dz, residuals):
    """Returns dx = None, because tokens have no gradient, and the table's gradient."""
    return None, {"embeddings": embedding_backward(dz, residuals)}


KINDS = {"Embedding": (forward, backward)}
