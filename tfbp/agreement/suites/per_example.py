"""Compares a writing's gradients of single examples with the reference's.

It covers every kind of layer with gradients of single examples. Tolerances are measured: the reference's passes of one
example run with random errors in every operation, and norms, clipping and moments are computed from their results.

B batch, L layers; g_b is the gradient of sample_weight[b] · losses[b], without 1/B and without penalties.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp import manual, reference, tape
from tfbp.agreement.cases import all_cases
from tfbp.agreement.problems import Case, Problem, numpy_dtype, problem
from tfbp.agreement.programs import Cell, Result, SuiteCase, remembered, run_trials, with_constants
from tfbp.agreement.tolerances import monte_carlo
from tfbp.agreement.tolerances.whole_pass import gradients_of_the_pass
from tfbp.judging.diagnosis import Clues
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units
from tfbp.manual.kinds import examples_of
from tfbp.network import (
    GRU,
    Bidirectional,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GroupedQueryAttention,
    Input,
    MultiHeadAttention,
    Network,
    NotEqual,
    Tokens,
    at,
    map_weights,
    named_weights,
)
from tfbp.reference.regularizers import penalty_backward

Array = np.ndarray
SCOPE = "per example"
# penalties, no bias, depth, one example
_DENSE = ("regularized-", "no-bias-", "deep5-", "one-sample-")
# each kind with a gradient of each example, alone and in another layer
_ROWS = (
    *("rank3-", "residual-deep-", "projection-", "tokens-sparse-", "tokens-categorical-", "embedding-", "positions-"),
    *("conv-strides-", "conv-groups-B", "conv-groups-dilated-", "conv-kernel-1-", "depthwise-B", "depthwise-3-"),
    *("depthwise-dilated-", "pooling-strides-", "layer-normalization-", "rms-", "group-normalization-"),
    *("linear-cross-entropy-", "tied-B", "tied-blocks-"),
)
_SEQUENCES = (
    *("einsum-", "conv-causal-", "conv-of-sequences-", "depthwise-of-sequences-", "simple-rnn-B", "lstm-B"),
    *("gru-", "bidirectional-B", "states-of-lstm-", "tied-attention-"),
)


def per_example_cases() -> list[Case]:
    """Penalties, no bias, depth, one example; one or more cases of every kind; masks, and attention that draws not."""
    names = (*_DENSE, *_ROWS, *_SEQUENCES)
    return [case for case in all_cases() if case.name.startswith(names) and not _ties(case)] + _attention_cases()


def _attention_cases() -> list[Case]:
    tokens = Input(Tokens(5, 4))
    x, mask = Embedding(4, 4)(tokens), NotEqual(0)(tokens)
    both = Bidirectional(GRU(2, return_sequences=True, takes=("mask",)))(x, mask)
    masked = MultiHeadAttention(2, 3, takes=("query_mask", "value_mask"))(both, mask, mask)
    pooled = GlobalAveragePooling1D(takes=("mask",))(masked, mask)
    grouped = [GroupedQueryAttention(3, 4, 2, use_causal_mask=True), Flatten(), Dense(3)]
    networks = {
        "masked-attention-B5-T5-V4": Network(tokens, Dense(3)(pooled), "half_squared_error"),
        "grouped-attention-B4-5x6": Network((5, 6), grouped, "half_squared_error"),
    }
    return [Case(name, network, int(name.split("-B")[1][0])) for name, network in networks.items()]


def _ties(case: Case) -> bool:
    return any(node.layer.ties_examples or node.layer.draws for node in case.network.nodes)


def run_per_example(cases: list[Case], dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Compares norms, clipping and moments of the cases by manual, and by the tape in float64 and graph mode.

    The tape's vectorized_map takes seconds to compile. Below float32 only shallow dense networks run, because a bound
    carried through five layers is too wide in 8 or 11 bits. XLA compiles the kinds of rows in float64. Loops run
    eagerly in float64 alone, because a graph of each takes seconds."""
    trials = []
    for case in cases:
        is_dense, is_deep = case.name.startswith(_DENSE), case.name.startswith("deep5")
        cells = _OF_ROWS if case.name.startswith(_ROWS) else _OF_SEQUENCES
        if (not is_dense and (dtype, mode) not in cells) or (is_deep and dtype not in ("float64", "float32")):
            continue
        trials.append(_trial(case, "manual", dtype, tf32, device))
        if (dtype, mode, case.name[:4]) == ("float64", "graph", "regu"):
            trials.append(_trial(case, "tape", dtype, tf32, device))
    return run_trials(trials, SCOPE, Cell(None, dtype, mode, device, tf32))


_OF_SEQUENCES = {("float64", "eager")}
_OF_ROWS = {("float64", "eager"), ("float64", "xla"), ("float32", "graph")}


@remembered
def _trial(case: Case, writing: str, dtype: str, tf32: bool, device: str) -> SuiteCase:
    network, numbers = case.network, problem(case, dtype)
    units = Units.of(dtype, writing, tf32, device)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    examples = reference.per_example.example_gradients(network, *arguments)
    clip = clip_of(network, numbers)
    expected = answers(reference, network, arguments, clip)
    wide = "float64" if dtype == "float64" else "float32"
    fed: dict[str, Any] = {"sample_weight": numbers.sample_weight.astype(wide)}
    for name, array in (("x", numbers.x), ("y", numbers.y)):
        fed[name] = array if array.dtype.kind == "i" else array.astype(numpy_dtype(dtype) if name == "x" else wide)
    parameters = map_weights(lambda w: w.astype(numpy_dtype(dtype)), numbers.parameters)
    room = {"manual": manual, "tape": tape}[writing]

    def run(fed: dict[str, Any]) -> dict[str, Any]:
        with with_constants(case.constants if writing == "manual" else {}):
            return answers(room, network, (parameters, fed["x"], fed["y"], fed["sample_weight"]), clip)

    dtypes = {"norms": wide, "clipped": dtype}
    return SuiteCase(
        case,
        SCOPE,
        writing,
        run,
        fed,
        expected,
        tolerances(network, numbers, clip, units, stored=units.out if writing == "tape" else 0.0),
        {name: dtypes.get(name.split()[0], "float64") for name in expected},
        {name: partial(_clues, name, network, numbers, examples, clip, expected) for name in expected},
    )


def answers(writing: Any, network: Network, arguments: Any, clip: float) -> dict[str, Any]:
    """Returns all per-example results of a writing, by name; `arguments` as in loss_and_gradients."""
    parameters, x, y, sample_weight = arguments
    room = writing.per_example
    _, clipped = room.loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight)
    found = {
        "norms": room.gradient_norms(network, parameters, x, y, sample_weight),
        **_named("clipped", clipped),
    }
    if not has_moments(network):
        return found
    mean, variance = room.gradient_mean_and_variance(network, parameters, x, y, sample_weight)
    return {**found, **_named("mean", mean), **_named("variance", variance)}


def has_moments(network: Network) -> bool:
    """Whether every kind has the moments of its gradients; recurrent layers and attention have the norms alone."""
    return not any("squares_of_kept" in examples_of(node.layer) for node in network.weight_nodes)


def clip_of(network: Network, numbers: Problem) -> float:
    """Returns a bound that clips about half of the examples: the median norm, shifted off every example's own."""
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    norms = reference.per_example.gradient_norms(network, *arguments)
    return 0.9 * float(np.median(np.linalg.norm(norms, axis=1)))


def tolerances(network: Network, numbers: Problem, clip: float, units: Units, stored: float = 0.0) -> dict[str, Array]:
    """Returns T of every tensor of `answers`; `stored` is the unit roundoff of a stored g_b, if it is stored."""
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    expected = answers(reference, network, arguments, clip)

    def run(rounding: monte_carlo.Rounding) -> dict[str, Array]:
        each = [gradients_of_the_pass(network.without_penalties(), one, rounding) for one in _one_by_one(numbers)]
        parts = zip(*([w for _, _, w in named_weights(one)] for one in each), strict=True)
        examples = map_weights(lambda _: np.stack([monte_carlo.plain(part) for part in next(parts)]), each[0])
        examples = map_weights(lambda g: rounding.moved(g, stored * np.abs(g)), examples)
        norms = _norms(examples)
        norms = rounding.moved(norms, 8 * units.loss * norms)
        factors = rounding.on(np.minimum(1, clip / np.maximum(np.linalg.norm(norms, axis=1), 1e-300)))
        found = {
            "norms": norms,
            **_named("clipped", _clipped(network, numbers, map_weights(rounding.on, examples), factors)),
            **_named("mean", map_weights(lambda g: g.mean(axis=0), examples)),
            **_named("variance", map_weights(lambda g: g.var(axis=0), examples)),
        }
        return {name: found[name] for name in expected}

    limits = monte_carlo.sensitivity(run, expected, units)
    for name in limits:
        if name.startswith("variance"):
            # Σ g² / B - mean², in float64
            squares = expected[name] + expected[name.replace("variance", "mean")] ** 2
            limits[name] = limits[name] + 16 * UNIT_ROUNDOFF["float64"] * squares
    limits["norms"] = limits["norms"] + _of_cancelled_squares(network, numbers, expected["norms"], units)
    return limits


def _of_cancelled_squares(network: Network, numbers: Problem, norms: Array, units: Units) -> Array:
    """Returns the error of ‖g_b‖ where its square is a sum of products of rows, Σ_st (x_s · x_t) (dz_s · dz_t).

    The products are at most (Σ_t ‖x_t‖ ‖dz_t‖)²."""
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    _, _, tensors = reference.loss_gradients_and_tensors(network, *arguments)
    rows = len(numbers.x)
    sizes = [_size_of_products(layer, tensor, rows) for layer, tensor in zip(network.layers, tensors, strict=False)]
    if network.tied:
        sizes[0] = sizes[0] + sizes[-1]
    size = np.stack(sizes, axis=1)
    return 8 * units.loss * np.divide(size**2, norms, out=np.zeros_like(size), where=norms > 0)


def _size_of_products(layer: Any, tensor: dict[str, Any], rows: int) -> Array:
    dz, x = rows * tensor["dz"], tensor["x"]
    shape = tuple(each.shape[1:] for each in x) if layer.takes_several else x.shape[1:]
    if layer.parts or not layer.weight_shapes(shape):
        return np.zeros(rows)
    x = x[0] if layer.takes_several else x
    of_dz = np.linalg.norm(dz, axis=-1).reshape(rows, -1)
    if layer.takes_tokens or x.shape[:-1] != dz.shape[:-1]:
        return of_dz.sum(axis=1)
    return (of_dz * np.sqrt(np.linalg.norm(x, axis=-1).reshape(rows, -1) ** 2 + 1)).sum(axis=1)


def _one_by_one(numbers: Problem) -> Iterator[Problem]:
    for b in range(len(numbers.x)):
        given = (array[b : b + 1] for array in (numbers.x, numbers.y, numbers.sample_weight))
        yield Problem(numbers.parameters, *given)


def _norms(examples: Any) -> Array:
    """Returns ‖g_b‖ in each layer, (B, L)."""
    rows = len(next(g for _, _, g in named_weights(examples)))
    squares = [
        sum(((g**2).reshape(rows, -1).sum(axis=1) for _, _, g in named_weights([layer])), np.zeros(rows))
        for layer in examples
    ]
    return np.sqrt(np.stack(squares, axis=1))


def _clipped(network: Network, numbers: Problem, examples: Any, factors: Array) -> Any:
    """Returns 1/B Σ_b f_b g_b + the gradient of the penalties."""

    def mean(g: Array) -> Array:
        return (factors.reshape(-1, *[1] * (g.ndim - 1)) * g).sum(axis=0) / len(g)

    clipped = map_weights(mean, examples)
    for place, name, regularizer in network.penalties:
        layer = at(clipped, place)
        layer[name] = layer[name] + penalty_backward(regularizer, at(numbers.parameters, place)[name])
    return clipped


def _clues(name: str, network: Network, numbers: Problem, examples: Any, clip: float, right: dict[str, Any]) -> Clues:
    """Returns the values of a tensor of `answers` under common mistakes."""
    kind, _, tensor = name.partition(" ")
    mistakes: dict[str, Array] = {}
    norms, rows = right["norms"], len(numbers.x)
    if kind == "norms":
        for weight in sorted({weight for _, weight, _ in named_weights(examples)}):
            others = map_weights(lambda g: g, examples)
            for place, each, g in list(named_weights(others)):
                if each == weight:
                    at(others, place)[each] = 0 * g
            mistakes[f"the {weight}' gradient is left out"] = _norms(others)
        mistakes["1/B is in it"] = norms / rows
        mistakes |= _other_norms(network, numbers, norms)
    elif kind == "clipped":
        total = np.linalg.norm(norms, axis=1)
        factors = {"no example is clipped": np.ones(rows)}
        limited = np.minimum(1, clip / np.maximum(total, 1e-300))
        factors["clipped twice: the factors are squared"] = limited**2
        factors["clipped by the norm with 1/B in it"] = np.minimum(1, clip * rows / np.maximum(total, 1e-300))
        for i in range(len(network.layers)):
            factors[f"clipped by the norm of layer {i} alone"] = np.minimum(1, clip / np.maximum(norms[:, i], 1e-300))
        for sentence, factor in factors.items():
            mistakes[sentence] = _named("", _clipped(network, numbers, examples, factor))[f" {tensor}"]
    else:
        mean = right[f"mean {tensor}"]
        if kind == "variance":
            mistakes["not centred: the mean of the squares"] = right[name] + mean**2
            mistakes["the square of the sum for the sum of squares"] = (rows - 1) * mean**2
    return Clues(mistakes, sizes={"B": rows}, summed=rows)


def _other_norms(network: Network, numbers: Problem, norms: Array) -> dict[str, Array]:
    """Returns norms with a mistake in one layer's."""
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    _, _, tensors = reference.loss_gradients_and_tensors(network, *arguments)
    rows, mistakes = len(numbers.x), {}
    with_weights = [i for i, layer in enumerate(network.layers) if norms[:, i].any()]
    for i in with_weights:
        layer, tensor = network.layers[i], tensors[i]
        of: dict[str, Array] = {"squared: the root is missing": norms[:, i] ** 2}
        taken = tensor["x"][0] if layer.takes_several else tensor["x"]
        if not layer.parts and taken.shape[:-1] == tensor["dz"].shape[:-1] and tensor["dz"].ndim > 2:
            x, dz = (a.reshape(rows, -1, a.shape[-1]) for a in (taken, rows * tensor["dz"]))
            of_dz, of_x = (dz**2).sum(axis=2), (x**2).sum(axis=2)
            each = (of_dz * of_x).sum(axis=1)
            bias = (dz.sum(axis=1) ** 2).sum(axis=1) if getattr(layer, "use_bias", False) else np.zeros(rows)
            of["the squares of its places are added up, not squared in sum"] = np.sqrt(each + bias)
            kernel = norms[:, i] ** 2 - bias
            of["of its bias the squares of the places are added up"] = np.sqrt(
                np.maximum(kernel, 0) + of_dz.sum(axis=1)
            )
        if layer.takes_tokens:
            of_dz = (rows * tensor["dz"]) ** 2
            of["the places of one token are not added up"] = np.sqrt(of_dz.reshape(rows, -1).sum(axis=1))
            same = numbers.x[:, :, None] == numbers.x[:, None, :]
            sums = np.einsum("bst,bto->bso", same, rows * tensor["dz"])
            of["a token counts once for each of its places"] = np.sqrt((sums**2).sum(axis=(1, 2)))
        for sentence, column in of.items():
            other = norms.copy()
            other[:, i] = column
            mistakes[f"of layer {i}: {sentence}"] = other
    alike: dict[str, Array] = {}
    for kind in {type(network.layers[i]) for i in with_weights}:
        where = [i for i in with_weights if type(network.layers[i]) is kind]
        for sentence in {key.split(": ", 1)[1] for key in mistakes if int(key.split()[2][:-1]) in where}:
            columns = [i for i in where if f"of layer {i}: {sentence}" in mistakes]
            if len(columns) > 1:
                other = norms.copy()
                for i in columns:
                    other[:, i] = mistakes[f"of layer {i}: {sentence}"][:, i]
                alike[f"of every {kind.__name__}: {sentence}"] = other
    return mistakes | alike


def _named(what: str, layers: Any) -> dict[str, Any]:
    return {f"{what} layer {'.'.join(map(str, place))} d{name}": w for place, name, w in named_weights(layers)}
