"""attention: what two layers look at, before training and after, that learn to look up what stood after a letter."""

import style  # isort: skip  first, because it imports TensorFlow quietly
import keras
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from tfbp import (
    Dense,
    Embedding,
    Model,
    MultiHeadAttention,
    Network,
    PositionEmbedding,
    Residual,
    Tokens,
    reference,
)
from tfbp.reference.attention import attention_forward, projection_forward

ALPHABET = "abcdefghijklmnop"
LETTERS, UNITS, BATCH, BATCHES = 8, 32, 64, 2000
STEPS = 2 * LETTERS


def sequences(count, seed):
    """Returns different letters, then some of them again; a repeated letter's label is the letter that followed it."""
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random((count, len(ALPHABET))), axis=1)[:, :LETTERS]
    at = rng.integers(0, LETTERS - 1, (count, LETTERS))
    x = np.concatenate([order, np.take_along_axis(order, at, axis=1)], axis=1)
    labels = np.concatenate([0 * order, np.take_along_axis(order, at + 1, axis=1)], axis=1)
    weights = np.repeat([[0.0, 1.0]], LETTERS, axis=1).repeat(count, axis=0)
    return x.astype("int32"), labels.astype("int32"), weights


def model(layers):
    attention = [Residual([MultiHeadAttention(1, UNITS, use_causal_mask=True)]) for _ in range(layers)]
    chain = [Embedding(len(ALPHABET), UNITS), PositionEmbedding(STEPS), *attention, Dense(len(ALPHABET))]
    made = Model(Network(Tokens(STEPS, len(ALPHABET)), chain, "sparse_categorical_crossentropy"), seed=0)
    made.compile(keras.optimizers.Adam(0.003), weighted_metrics=["accuracy"])
    return made


def probabilities(model, x):
    """Of each layer of attention what every step makes of every step, (T, T)."""
    parameters = model.get_parameters()
    _, _, tensors = reference.loss_gradients_and_tensors(model.network, parameters, x, x)
    found = []
    for index in range(2, len(parameters) - 1):
        (weights,) = parameters[index]["layers"]
        made = [
            projection_forward(tensors[index]["x"], weights[f"{part}_kernel"], weights[f"{part}_bias"])[0]
            for part in ("query", "key", "value")
        ]
        _, (_, _, _, p, *_) = attention_forward(*made, causal=True)
        found.append(p[0, 0])
    return found


def run():
    x, labels, weights = sequences(BATCH * BATCHES, seed=0)
    new = sequences(1000, seed=1)
    for layers in (1, 2):
        learner = model(layers)
        before = probabilities(learner, new[0][:1])
        learner.fit(x, labels, sample_weight=weights, batch_size=BATCH, epochs=1, verbose=0)
        print(layers, learner.evaluate(*new[:2], sample_weight=new[2], verbose=0))
    first, second = probabilities(learner, new[0][:1])
    return new[0][0], {
        "first layer, before training": before[0],
        "first layer, after": first,
        "second layer, after": second,
    }


def figure(x, found):
    figure, axes = plt.subplots(1, len(found), figsize=(7.5, 2.9))
    letters = [ALPHABET[token] for token in x]
    for axis, (title, p) in zip(axes, found.items(), strict=True):
        picture = np.empty((*p.shape, 4))
        # the stronger, the more is seen, on light paper and on dark
        picture[..., :3], picture[..., 3] = to_rgb("C0"), p
        axis.imshow(picture, interpolation="none")
        axis.set(title=title, xticks=range(STEPS), yticks=range(STEPS), xticklabels=letters, yticklabels=letters)
        axis.tick_params(length=0, labelsize=6)
        axis.axhline(LETTERS - 0.5, color=style.ink(), linewidth=0.5, linestyle=":")
        axis.set_xlabel("asked")
    axes[0].set_ylabel("asking")
    return figure


if __name__ == "__main__":
    results = run()
    style.draw("attention", lambda: figure(*results))
