"""tfbp.Model: an epoch of steps as one XLA program, gradients by hand or by tape; only on the chosen device."""

import keras

from benchmarks.contestants.fit import Fit
from tfbp import Model
from tfbp.judging.placement import strictly


class TfbpModel(Fit):
    def __init__(self, problem, gradients):
        model = Model(problem.network, gradients=gradients)
        model.set_parameters(problem.parameters)
        model.compile(keras.optimizers.SGD(problem.rate))
        super().__init__(problem, model)

    def _fit(self, x, y, **options):
        with strictly():
            return super()._fit(x, y, **options)

    def weights(self):
        return [w for layer in self.model.get_parameters() for w in (layer["kernel"], layer["bias"])]
