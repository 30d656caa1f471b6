"""scikit-learn's MLPClassifier: plain SGD, no L2 penalty, one partial_fit an epoch, from the shared weights."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.contestants import Unavailable


class ScikitLearn:
    device = "cpu"

    def __init__(self, problem):
        classes = problem.widths[-1]
        if classes < 3:
            raise Unavailable("with two classes, MLPClassifier has one logistic output in place of a softmax")
        self.problem, self.classes = problem, np.arange(classes)
        self.model = MLPClassifier(
            problem.widths[1:-1],
            activation="relu",
            solver="sgd",
            alpha=0.0,
            batch_size=problem.batch_size,
            learning_rate_init=problem.rate,
            momentum=0.0,
            nesterovs_momentum=False,
            n_iter_no_change=10**9,
        )
        # the first call makes the weights, which are then put in their place
        self.model.partial_fit(*problem.batch(0), classes=self.classes)
        for index, layer in enumerate(problem.parameters):
            self.model.coefs_[index][:] = layer["kernel"]
            self.model.intercepts_[index][:] = layer["bias"]

    def follow(self, steps):
        self.model.shuffle = False
        losses = []
        for step in range(steps):
            self.model.partial_fit(*self.problem.batch(step))
            losses.append(float(self.model.loss_))
        return losses

    def train(self, epochs, shuffle):
        self.model.shuffle = shuffle
        for _ in range(epochs):
            self.model.partial_fit(self.problem.x, self.problem.y)

    def weights(self):
        return [w for pair in zip(self.model.coefs_, self.model.intercepts_, strict=True) for w in pair]
