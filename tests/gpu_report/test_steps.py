"""A timed contestant has followed the reference first, and trained on the right device."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.gpu_report import plan, steps
from tfbp.gpu_report.sizes import Size
from tfbp.gpu_report.worker import Misplaced, Unavailable, answer

POINT = {
    "contestant": "tfbp",
    "precision": "float32",
    "widths": [6, 8, 3],
    "batch": 4,
    "steps": 5,
    "title": "",
    "rounds": 2,
    "seconds": 1e-6,
}


@pytest.fixture(autouse=True)
def _nobody_was_checked():
    steps.check.cache_clear()


@pytest.mark.parametrize("name", ["tfbp", "keras"])
def test_the_contestants_of_the_lock_follow_the_reference(name):
    found = steps.measure({**POINT, "contestant": name}, "cpu")
    assert len(found["microseconds"]) == 2
    assert 0 < found["min"] <= found["median"]
    assert found["device"] == "cpu"


def planted(monkeypatch, **changes):
    right = steps.contestant("keras")
    monkeypatch.setattr(steps, "contestant", lambda name: type("Planted", (right,), changes))


def test_a_wrong_gradient_is_thrown_out(monkeypatch):
    right = steps.contestant("keras").__init__

    def faster(self, problem, precision, device):
        right(self, problem, precision, device)
        self.model.optimizer.learning_rate = 1.05 * problem.rate

    planted(monkeypatch, __init__=faster)
    with pytest.raises(ArithmeticError, match=r"^its loss in epoch 0 is .*; the reference's is"):
        steps.measure(POINT, "cpu")


def test_a_nan_is_thrown_out(monkeypatch):
    planted(monkeypatch, loss=property(lambda self: np.nan, lambda self, value: None))
    with pytest.raises(ArithmeticError, match="its loss in epoch 0 is nan"):
        steps.measure(POINT, "cpu")


def test_one_that_trains_elsewhere_is_thrown_out(monkeypatch):
    planted(monkeypatch, device="gpu")
    with pytest.raises(Misplaced, match=r"^tfbp trains on 'gpu', not on 'cpu'$"):
        steps.measure(POINT, "cpu")


def test_the_device_is_where_the_weights_are():
    problem = steps.StepTask.make(Size((2, 2), 2, 1))
    assert steps.contestant("tfbp")(problem, "float32", "cpu").device == "cpu"


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_one_that_is_not_installed_says_so(monkeypatch, name):
    monkeypatch.setattr(steps.util, "find_spec", lambda package: None)
    with pytest.raises(Unavailable, match=f"^{name} is not installed$"):
        steps.measure({**POINT, "contestant": name}, "cpu")
    assert answer("steps", {**POINT, "contestant": name}, "cpu") == {"unavailable": f"{name} is not installed"}


def test_whatever_breaks_is_an_answer():
    assert answer("steps", {**POINT, "widths": [6]}, "cpu")["input"].startswith("parameters: got 0 layers; accepted: 1")
    assert answer("steps", {**POINT, "rounds": None}, "cpu")["error"].startswith("TypeError: ")


def test_the_plan_has_what_was_promised():
    groups = plan.plan(small=False)
    names = [group.id_of(point) for group in groups for point in group.points]
    assert len(set(names)) == len(names)
    for precision in plan.PRECISIONS:
        for size in (*plan.SIZES, *(f"64x5-b2^{power}" for power in (14, 16, 18, 20))):
            is_tiny = size in ("2-2-2-b1", "2-2-2-b4", "64-32-10-b32")
            for contestant in plan.CONTESTANTS:
                wanted = precision == "float32" or not is_tiny
                assert (f"steps {contestant} {size} {precision}" in names) is wanted
    for mode in ("eager", "graph", "xla"):
        assert {f"agreement float32 {mode}", f"agreement float32 {mode} TF32"} < set(names)
    assert set(plan.SHARES) == {group.section for group in groups}
    assert sum(plan.SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["tfbp", "keras"])
def test_without_a_gpu_nobody_trains_on_the_cpu_in_its_place(name):
    """By itself TensorFlow would, and say nothing."""
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    said = answer("steps", {**POINT, "contestant": name}, "gpu")
    assert said == {"error": f"Misplaced: {name} trains on 'cpu', not on 'gpu'"}


@pytest.mark.parametrize("section", ["agreement", "parts", "cross-entropy"])
def test_without_a_gpu_a_section_is_an_error_that_says_so(section):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    (point, *_) = (p for group in plan.plan(small=True) if group.section == section for p in group.points)
    said = answer(section, point, "gpu")
    told = said["result"]["complaints"][0] if section == "agreement" and "result" in said else said["error"]
    assert "GPU:0" in told
