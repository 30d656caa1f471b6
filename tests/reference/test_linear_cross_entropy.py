"""The reference's gradients of linear_cross_entropy against complex steps, which know nothing of its backward."""

import numpy as np
import pytest

from tfbp.reference.linear_cross_entropy import linear_cross_entropy_backward, linear_cross_entropy_forward

OPTIONS = {
    "plain": {},
    "ignore_index": {"ignore_index": 2},
    "label_smoothing": {"label_smoothing": 0.3},
    "z_loss": {"z_loss": 0.2},
    "soft_cap": {"soft_cap": 1.5},
    "all": {"ignore_index": 2, "label_smoothing": 0.1, "z_loss": 0.05, "soft_cap": 2.0},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_agree_with_complex_steps(options):
    rng = np.random.default_rng(5)
    arguments = [rng.normal(size=shape) for shape in ((7, 3), (3, 5), (5,))]
    labels, keywords = np.array([0, 1, 2, 3, 4, 2, 0]), {"sample_weight": rng.normal(size=7), **OPTIONS[options]}

    def forward(x, kernel, bias):
        return linear_cross_entropy_forward(x, kernel, labels, bias=bias, **keywords)

    gradients = linear_cross_entropy_backward(-1.75, forward(*arguments)[1])
    for position, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            moved = [a.astype(complex) for a in arguments]
            moved[position][index] += 1e-30j
            right = -1.75 * forward(*moved)[0].imag / 1e-30
            assert abs(gradient[index] - right) <= 64 * 2**-53 * (1 + np.abs(gradient).max())
