"""Each section of the report on a CPU, and that a GPU has a kernel for all that it runs there strictly."""

from contextlib import contextmanager

import pytest

from tfbp.gpu_report import agreement, cross_entropy, parts, plan
from tfbp.gpu_report.cross_entropy_table import disagreements
from tfbp.gpu_report.page import page
from tfbp.gpu_report.tables import microseconds
from tfbp.judging import placement
from tfbp.rehearsal import operations as kernels

SMALL = [(group, point) for group in plan.plan(small=True) for point in group.points]
MODULES = {"cross-entropy": cross_entropy, "parts": parts}


@pytest.fixture
def operations(monkeypatch):
    """What runs strictly on a device, eagerly and in functions."""
    found = set()

    @contextmanager
    def noting(device):
        with placement.strictly_on(device), kernels.run_eagerly() as ran:
            yield
        found.update(ran)

    for module in MODULES.values():
        monkeypatch.setattr(module, "strictly_on", noting)
    return found


def points(section):
    return [point for group, point in SMALL if group.section == section]


def test_the_head_by_hand_and_by_tape_compute_the_same(operations):
    found = {point["contestant"]: cross_entropy.measure(point, "cpu") for point in points("cross-entropy")}
    wanted = [(group, point, group.id_of(point)) for group, point in SMALL if group.section == "cross-entropy"]
    units = {name: {"result": found[point["contestant"]]} for _, point, name in wanted}
    assert disagreements(wanted, units) == []
    assert kernels.without_kernel(operations, "GPU") == []
    assert "MatMul" in {operation.name for operation in operations}
    units[wanted[0][2]]["result"]["numbers"][2] *= 1.001
    (line,) = disagreements(wanted, units)
    assert line.startswith("linear_cross_entropy, graph, 2048 classes: the norm of dkernel is ")


def test_the_parts_of_a_step_add_up_to_it(operations):
    (point,) = points("parts")
    found = parts.measure(point, "cpu")
    assert tuple(found["microseconds"]) == parts.PARTS
    assert sum(found["microseconds"].values()) == pytest.approx(found["step"])
    assert {len(times) for times in found["times"].values()} == {point["rounds"]}
    assert kernels.without_kernel(operations, "GPU") == []


@pytest.mark.parametrize("section", MODULES)
def test_a_result_elsewhere_is_an_error(monkeypatch, section):
    monkeypatch.setattr(MODULES[section], "is_on", lambda tensor, device: False)
    with pytest.raises(parts.Misplaced, match=r"^a result is on .*CPU:0, not on 'cpu'$"):
        MODULES[section].measure(points(section)[0], "cpu")


def test_a_disagreement_is_told_with_its_complaint(monkeypatch):
    from tfbp import manual

    right = manual.dense.dense_backward
    monkeypatch.setattr(manual.dense, "dense_backward", lambda *a, **k: (-1 * right(*a, **k)[0], *right(*a, **k)[1:]))
    (point,) = points("agreement")
    found = agreement.measure({**point, "every": 1000, "mode": "eager"}, "cpu")
    assert found["networks"] == 1
    assert found["wrong"] >= 2
    assert found["worst"]["local manual-reference"] > 1
    assert "layer 0 dx of manual: the sign is flipped" in found["complaints"][0]


def test_the_page_says_what_is_left_and_what_broke():
    groups = plan.plan(small=False)
    names = [group.id_of(point) for group in groups for point in group.points]
    timed = {"median": 12.0, "min": 11.0, "version": "JAX 1"}
    units = {
        "steps jax 64x5-b2^20 tf32": {"result": timed},
        "steps torch 64x5-b2^20 tf32": {"unavailable": "torch is not installed"},
        "steps keras 64x5-b2^20 tf32": {"error": "ResourceExhaustedError: out of memory"},
    }
    text = page({"kind": "gpu", "device": "A GPU", "driver": "1.2"}, groups, units, "tfbp gpu-report --device gpu")
    assert text.startswith("# tfbp on A GPU\n")
    assert "On a CPU" not in text
    assert f"`tfbp gpu-report --device gpu`: 3 of {len(names)} measurements." in text
    assert "| 64x5-b2^20 | left | error | 12 (11) | not installed |" in text
    assert "- steps keras 64x5-b2^20 tf32: error: ResourceExhaustedError: out of memory" in text
    assert microseconds(1234.5) == "1,234"
