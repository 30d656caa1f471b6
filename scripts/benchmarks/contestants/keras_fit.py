"""Keras's own fit on a Sequential of Dense layers, as people call it; by default, jit_compile is Keras's "auto"."""

import keras

from benchmarks.contestants.fit import Fit


class KerasFit(Fit):
    def __init__(self, problem, whole_epoch=False, jit_compile="auto"):
        hidden = [keras.layers.Dense(units, "relu") for units in problem.widths[1:-1]]
        model = keras.Sequential([keras.Input([problem.widths[0]]), *hidden, keras.layers.Dense(problem.widths[-1])])
        model.set_weights([w for layer in problem.parameters for w in (layer["kernel"], layer["bias"])])
        model.compile(
            keras.optimizers.SGD(problem.rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
            steps_per_execution=problem.steps if whole_epoch else 1,
        )
        super().__init__(problem, model)

    def weights(self):
        return self.model.get_weights()
