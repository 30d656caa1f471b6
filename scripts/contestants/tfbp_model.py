"""tfbp.Model: an epoch of steps as one XLA program, gradients by hand or by tape."""

import keras

import tfbp
from contestants.fit import Fit


class Contestant(Fit):
    def __init__(self, problem, gradients):
        model = tfbp.Model(problem.network, gradients=gradients)
        model.set_parameters(problem.parameters)
        model.compile(keras.optimizers.SGD(problem.rate))
        super().__init__(problem, model)

    def weights(self):
        return [w for layer in self.model.get_parameters() for w in (layer["kernel"], layer["bias"])]
