"""tfbp.Model: an epoch of steps as one XLA program, gradients by hand or by tape."""

import keras

from contestants.fit import Fit
from tfbp import Model


class Contestant(Fit):
    def __init__(self, problem, gradients):
        model = Model(problem.network, gradients=gradients)
        model.set_parameters(problem.parameters)
        model.compile(keras.optimizers.SGD(problem.rate))
        super().__init__(problem, model)

    def weights(self):
        return [w for layer in self.model.get_parameters() for w in (layer["kernel"], layer["bias"])]
