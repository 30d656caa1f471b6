"""`tfbp.agree`: finds the wrong layer of a model on a device, in given dtypes and modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.inputs import arrays_of, check_shapes
from tfbp.agreement.of_models.kept import kept
from tfbp.agreement.of_models.objective import Objective
from tfbp.agreement.of_models.opened import Opened, opened
from tfbp.agreement.of_models.passes import recorded_run, truths_of
from tfbp.agreement.of_models.report import Line, ModelReport
from tfbp.agreement.of_models.trial import Evidence, ModelTrial, Settings
from tfbp.agreement.programs import MODES
from tfbp.errors import InputError, check_choice
from tfbp.judging.placement import check_device
from tfbp.judging.tf32 import tf32_enabled

DTYPES = ("float64", "float32", "bfloat16", "float16")


def agree(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    modes: Sequence[str] = MODES,
    device: str = "cpu",
    seed: int = 0,
    apart: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> ModelReport:
    """Compares every layer of a Keras model, and the model as one program, with the reference.

    Each layer gets the right tensors and upstream gradients of this batch, in training mode, so that the wrong one
    names itself. A layer that the reference does not have is compared with differences of its own forward, and then
    with itself in float64.

    Args:
        model: a built Sequential or functional model; any other model is judged as one layer.
        x: a batch of its inputs, an array, or a list or dict of several. y: the targets likewise; without them the
            outputs are differentiated by random signed upstream gradients.
        loss: a Keras loss, its name, or for several outputs a list, or a dict by their names; by default the loss in
            `compile`.
        dtypes: any of float64, float32, bfloat16 and float16; copies of the layers run in them, and in its own
            dtype a layer runs itself. modes: any of eager, graph and xla.
        device: "cpu" or "gpu". TF32 is off.
        seed: of random upstream gradients. What layers draw is recorded once, and is the same in every run.
        apart: whether each layer is a separate program, for less memory.
        progress: a function of the finished share and the name of the next step.

    Raises:
        InputError: a model that is not built, inputs that it does not take, a loss that names no output, or an unknown
            dtype, mode or device.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
        >>> x, y = np.linspace(-1, 1, 20).reshape(5, 4), np.array([0, 1, 0, 1, 1])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> report = agree(model, x, y, loss=loss, modes=["eager"])
        >>> report.agrees, [line.by for line in report.lines]
        (True, ['reference', 'reference'])

    Reference: Griewank and Walther, Evaluating Derivatives (2008).
    """
    dtypes, modes = _several("dtypes", dtypes, DTYPES), _several("modes", modes, MODES)
    check_device(device)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise InputError(f"seed: got {seed!r}; accepted: an integer of 0 or more.")
    if not isinstance(apart, bool):
        raise InputError(f"apart: got {apart!r}; accepted: True or False.")
    if progress is not None and not callable(progress):
        raise InputError(f"progress: got {progress!r}; accepted: a function of a share and a name.")
    arrays = arrays_of(model, x)
    calls = opened(model, arrays)
    if len(arrays) != calls.inputs:
        raise InputError(f"x: got {len(arrays)} arrays; accepted: {calls.inputs}, one for each of the model's inputs.")
    check_shapes(calls, arrays)
    with kept(model), tf32_enabled(False), tf.device(f"/{device.upper()}:0"):
        settings = Settings(dtypes, modes, device, seed, apart)
        return _examined(calls, arrays, y, loss, settings, progress or (lambda share, what: None))


def _examined(model: Opened, arrays: Any, y: Any, loss: Any, settings: Settings, bar: Any) -> ModelReport:
    rng = np.random.default_rng(settings.seed)
    dtypes, modes = settings.dtypes, settings.modes
    copies = Copies(model)
    bar(0.0, "one run, recorded")
    recorded, masks = recorded_run(model, copies, arrays, training=True)
    truths = truths_of(model, copies, arrays, recorded, training=True)
    tensors = list(arrays)
    for call, truth in zip(model.calls, truths, strict=True):
        tensors += truth.run([tensors[i] for i in call.takes], None, "float64").ys
    objective = Objective(model, y, loss, [tensors[i] for i in model.outputs], rng, masks)
    report = ModelReport(
        model.model.name,
        [Line(c.name, c.kind, t.by, takes=c.takes, makes=c.makes) for c, t in zip(model.calls, truths, strict=True)],
        inputs=list(model.names[: model.inputs]),
        versions={"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
    )
    trial = ModelTrial(model, copies, Evidence(arrays, recorded, truths), objective, report, settings)
    trial.unknown(tensors)
    trial.loss(tensors)
    trial.masks()
    for done, dtype in enumerate(dtypes):
        bar(done / len(dtypes), f"the right pass in {dtype}")
        trial.prepare(dtype)
        for number, mode in enumerate(modes):
            bar((done + (number + 1) / (len(modes) + 1)) / len(dtypes), f"{dtype}, {mode}")
            trial.run(dtype, mode)
    trial.close()
    bar(1.0, "done")
    return report


def _several(argument: str, given: Any, accepted: Sequence[str]) -> tuple[str, ...]:
    names = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not names:
        raise InputError(f"{argument}: got none; accepted: some of {', '.join(accepted)}.")
    for name in names:
        check_choice(argument, name, accepted)
    return names
