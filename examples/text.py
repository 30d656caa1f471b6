"""Text: from strings to a classifier.

    python examples/text.py

`TextVectorization` turns words into integers, once, before training. The data are lines of Python's standard library:
code or comment.
"""

import inspect
import textwrap

import keras
import numpy as np

import tfbp

MODULES = (inspect, textwrap)
LENGTH, VOCABULARY = 12, 800  # words of a line; words that have a number of their own


def lines() -> tuple[np.ndarray, np.ndarray]:
    """Returns each line without its comment sign, and whether it is a comment or part of a docstring."""
    texts, labels, inside = [], [], False
    for line in "\n".join(inspect.getsource(module) for module in MODULES).splitlines():
        quotes = line.count('"""')
        comment = inside or quotes > 0 or line.lstrip().startswith("#")
        inside ^= quotes % 2 == 1
        text = line.strip().strip('#"').strip()
        if text:
            texts.append(text)
            labels.append(comment)
    return np.array(texts), np.array(labels, "float32")


def model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            keras.layers.Embedding(VOCABULARY, 16),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )


def main() -> float:
    """Train, and return the accuracy on every fifth line, which the network has not seen."""
    keras.utils.set_random_seed(0)
    texts, labels = lines()
    new = np.arange(len(texts)) % 5 == 0
    vectorize = keras.layers.TextVectorization(VOCABULARY, standardize="lower", output_sequence_length=LENGTH)
    vectorize.adapt(texts[~new])
    x = np.asarray(vectorize(texts))
    network = model()
    network.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    tfbp.fit(network, x[~new], labels[~new], epochs=10, verbose=0)
    _, accuracy = tfbp.evaluate(network, x[new], labels[new], verbose=0)
    print(f"accuracy on new lines: {accuracy:.3f}")
    for text in ("return the first of two numbers", "x = [line for line in lines]"):
        print(f"{tfbp.predict(network, np.asarray(vectorize([text])), verbose=0)[0, 0]:.2f} comment: {text}")
    return accuracy


if __name__ == "__main__":
    main()
