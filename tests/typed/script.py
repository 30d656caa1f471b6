"""A user's script, for a type checker: test_types.py plants slips in its lines."""

import keras
import numpy as np

import tfbp


def use() -> None:
    x = np.ones((32, 4))
    y = np.zeros(32, "int32")

    network = tfbp.Network(4, [tfbp.Dense(8, "relu"), tfbp.Dense(3)], "sparse_categorical_crossentropy")
    model = tfbp.Model(network, gradients="manual")
    model.compile("adam", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3)
    loss = model.evaluate(x, y, batch_size=8)
    again = tfbp.Model.from_keras(model.to_keras(), "sparse_categorical_crossentropy", seed=1)
    norms: np.ndarray = tfbp.per_example_gradient_norms(model, x, y)

    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    plain.compile("adam", "mse")
    tfbp.fit(plain, x, y, epochs=3, verbose=0)
    predicted = tfbp.predict(plain, x, verbose=0)
    swapped = tfbp.layers.swap(plain)

    report = tfbp.check_gradients(np.tanh, [x], dtypes=["float64"])
    if not report.agrees:
        print(report.findings[0].cause)

    parameters = network.init(seed=0)
    value, gradients = tfbp.manual.loss_and_gradients(network, parameters, x, y)
    z = tfbp.reference.forward(network, parameters, x)
    picture = network.draw(parameters, dark=True)
    picture.save("network.svg")
    print(history, norms, predicted, swapped, loss, again, value, gradients, z)
