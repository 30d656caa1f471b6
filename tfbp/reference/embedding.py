"""The table of embeddings, and its gradient.

B batch, T tokens of an example, V rows of the table, O their width; x (B, T) integers, embeddings (V, O), y (B, T, O).
"""

import numpy as np


def embedding_forward(x, embeddings):
    """y[b, t] = embeddings[x[b, t]]; the residuals are x and V."""
    return embeddings[x], (x, len(embeddings))


def embedding_backward(dy, residuals):
    """dembeddings (V, O): a row's is the sum of dy over all places where it was looked up, 0 where it never was."""
    x, rows = residuals
    dembeddings = np.zeros((rows, dy.shape[-1]), dy.dtype)
    for token in np.unique(x):
        # y[b, t] = embeddings[token] wherever x[b, t] is token
        dembeddings[token] = dy[x == token].sum(axis=0)
    return dembeddings


def forward(layer, weights, x, *, training, seed):
    return *embedding_forward(x, weights["embeddings"]), {}


def backward(layer, dz, residuals):
    """Tokens have no gradient: dx is None."""
    return None, {"embeddings": embedding_backward(dz, residuals)}


KINDS = {"Embedding": (forward, backward)}
