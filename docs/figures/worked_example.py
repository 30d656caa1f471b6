"""worked_example: the error of the published listing and with the correct gradient, and the angle between the two."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import reference
from tfbp.commands import worked_example


def figure():
    figure, (error, angle) = plt.subplots(1, 2, figsize=(7.5, 2.6))
    published, *_ = worked_example.train_published()
    correct, *_ = worked_example.train(reference.loss_and_gradients)
    error.semilogy(published, "C1", label="published")
    error.semilogy(correct, "C0", label="correct gradient")
    error.set(title="Error ½ (y - o)²", xlabel="step")
    error.legend()
    w0, w1, cosines = worked_example.W0.copy(), worked_example.W1.copy(), []
    for _ in range(worked_example.STEPS):
        _, tensors = worked_example.published_step(w0, w1)
        step0 = np.tile(tensors["layer 0 dkernel"].T, (2, 1))
        _, gradients = reference.loss_and_gradients(
            worked_example.NETWORK, [{"kernel": w0.T}, {"kernel": w1.T}], worked_example.X, worked_example.TARGET
        )
        gradient0 = gradients[0]["kernel"].T
        cosines.append((step0 * gradient0).sum() / np.linalg.norm(step0) / np.linalg.norm(gradient0))
        w1 = w1 - tensors["layer 1 dkernel"].T
        w0 = w0 - step0
    angle.plot(cosines, "C2")
    angle.axhline(0, color=style.ink(), linewidth=0.7)
    angle.set(title="Cosine between the published\nand the correct update of W0", xlabel="step", ylim=(-1.05, 1.05))
    return figure


if __name__ == "__main__":
    style.draw("worked_example", figure)
