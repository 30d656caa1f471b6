"""The worked example's published numbers, to every printed digit, and the harness naming the published bug."""

import numpy as np
import pytest

from tfbp import manual, reference, tape
from tfbp.commands import worked_example


def test_published_listing_follows_its_published_trajectory():
    errors, w0, w1 = worked_example.train_published()
    assert errors[0] == pytest.approx(0.01810390383656677, rel=1e-15)
    assert errors[1] == pytest.approx(0.01652628079547517, rel=1e-15)
    # rounding in the first steps is amplified about tenfold by the hundredth
    assert errors[99] == pytest.approx(5.929448176860616e-07, rel=1e-12)
    np.testing.assert_allclose(w0, [[0.0993309, 0.6425254], [0.3993309, 0.4425254]], rtol=0, atol=5e-8)
    np.testing.assert_allclose(w1, [[-0.30032342, 0.31508797]], rtol=0, atol=5e-9)


@pytest.mark.parametrize("writing", [reference, manual, tape], ids=lambda writing: writing.__name__)
def test_correct_gradient_follows_the_correct_trajectory(writing):
    errors, w0, w1 = worked_example.train(writing.loss_and_gradients)
    assert errors[0] == pytest.approx(0.01810390383656677, rel=1e-15)
    assert errors[1] == pytest.approx(0.016565382326770402, rel=1e-15)
    assert errors[99] == pytest.approx(3.266878922007038e-07, rel=1e-12)
    np.testing.assert_allclose(w0, [[0.09949729, 0.79870731], [0.35650028, 0.48814358]], rtol=0, atol=5e-9)
    np.testing.assert_allclose(w1, [[-0.30047225, 0.32533603]], rtol=0, atol=5e-9)


def test_the_harness_names_the_published_bug():
    comparisons = worked_example.check_published()
    assert [c.tensor for c in comparisons if not c.agrees] == ["layer 0 dz", "layer 0 dkernel"]
    wrong_dz, wrong_dkernel = [c for c in comparisons if not c.agrees]
    assert "a row and a column were multiplied elementwise, which broadcasts" in wrong_dz.mistake
    assert "broadcasts over all" in wrong_dkernel.mistake
