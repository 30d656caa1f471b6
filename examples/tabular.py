"""Tabular data: numbers and two categories with embeddings, in a model with three inputs.

    python examples/tabular.py

The data are random: a price that depends on the size of a flat, its city and its heating. Replace `table` by yours.
"""

import keras
import numpy as np

import tfbp

CITIES, HEATINGS = ("Berlin", "Delhi", "Lima", "Oslo"), ("gas", "electric", "district")


def table(rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the columns by name, and the prices."""
    rng = np.random.default_rng(seed)
    columns = {
        "numbers": rng.normal(size=(rows, 2)).astype("float32"),  # size and age, standardized
        "city": rng.integers(0, len(CITIES), rows),
        "heating": rng.integers(0, len(HEATINGS), rows),
    }
    effect = np.array([0.3, -0.5, -1.0, 1.2])[columns["city"]] + np.array([0.1, -0.4, 0.3])[columns["heating"]]
    price = columns["numbers"] @ [1.0, -0.3] + effect + 0.1 * rng.normal(size=rows)
    return columns, price.astype("float32")


def model() -> keras.Model:
    inputs = {
        "numbers": keras.Input((2,), name="numbers"),
        "city": keras.Input((), dtype="int32", name="city"),
        "heating": keras.Input((), dtype="int32", name="heating"),
    }
    city = keras.layers.Embedding(len(CITIES), 3)(inputs["city"])
    heating = keras.layers.Embedding(len(HEATINGS), 2)(inputs["heating"])
    x = keras.layers.Concatenate()([inputs["numbers"], city, heating])
    x = keras.layers.Dense(32, "relu")(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def main() -> float:
    """Train, and return the error on new rows, as a share of the price's variance."""
    keras.utils.set_random_seed(0)
    network = model()
    network.compile(keras.optimizers.Adam(0.01), "mse")
    columns, price = table(2000, seed=0)
    tfbp.fit(network, columns, price, batch_size=50, epochs=20, validation_split=0.2, verbose=0)
    new_columns, new_price = table(500, seed=1)
    predicted = tfbp.predict(network, new_columns, verbose=0)[:, 0]
    error = float(np.mean((predicted - new_price) ** 2) / np.var(new_price))
    print(f"unexplained on new rows: {100 * error:.1f} % of the variance")
    return error


if __name__ == "__main__":
    main()
