"""Networks that end in LinearCrossEntropy in the matrix, in several chunks; mistakes planted in them are caught."""

import pytest
import tensorflow as tf

from tfbp.agreement.cases import cases_of
from tfbp.agreement.matrix import Cell, at_fault, first_wrong, run_cell
from tfbp.manual import backprop
from tfbp.manual import linear_cross_entropy as head
from tfbp.network import attention, linear_cross_entropy
from tfbp.reference import backprop as backprop_of_reference

CASES = {
    case.name.split("-B")[0]: case
    for case in cases_of(linear_cross_entropy, attention)
    if case.name.startswith(("linear-cross-entropy", "tied"))
}
CASE, TIED = CASES["linear-cross-entropy"], CASES["tied"]
CHUNK = 7  # of 30 tokens: four, and a remainder of two
RIGHT = {
    name: getattr(head, name)
    for name in ("chunk_forward", "chunk_backward", "loss_and_gradients", "mean_loss_and_gradients")
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_BYTES", 0)
    monkeypatch.setattr(head, "FEWEST_CLASSES", 3)
    monkeypatch.setattr(head, "FEWEST_TOKENS", CHUNK)


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.sampled(5, dtype="float64", mode="graph")
def test_the_writings_agree(case, dtype, mode):
    results = run_cell(Cell(CASES[case], dtype, mode))
    assert first_wrong(results) is None
    if dtype == "float64":
        whole = [r.comparison for r in results if r.scope == "end to end" and not r.comparison.vanishes]
        assert max(comparison.relative_error for comparison in whole) < 1e-12


def of_a_chunk(change):
    """A chunk's backward with a change of dx, and of each block's dkernel and dbias, given dlosses too."""

    def backward(dlosses, residuals, **options):
        dx, gradients = RIGHT["chunk_backward"](dlosses, residuals, **options)
        changed = [change(dx, *of_block, dlosses) for of_block in gradients]
        return changed[0][0], [of_block for _, *of_block in changed]

    return backward


def of_all_chunks(change):
    """The loss, dx, dkernel and dbias of all chunks with a change."""
    return lambda *given, **options: change(*RIGHT["loss_and_gradients"](*given, **options))


def given(change):
    """The loss and gradients of other labels, weights or inputs."""

    def mean_loss_and_gradients(layer, weights, x, y, sample_weight, dtype):
        return RIGHT["mean_loss_and_gradients"](layer, weights, *change(x, y, sample_weight), dtype)

    return mean_loss_and_gradients


def of_the_labels_before(dlosses, residuals, **options):
    x, kernel, labels, *others = residuals
    return RIGHT["chunk_backward"](dlosses, (x, kernel, tf.roll(labels, 1, 0), *others), **options)


def of_the_first_block_s_scale(dlosses, residuals, **options):
    *others, scales, log_sum_exp = residuals
    return RIGHT["chunk_backward"](dlosses, (*others, [scales[0]] * len(scales), log_sum_exp), **options)


def last_chunk_left_out(x, kernel, bias, labels, dlosses, **options):
    some = RIGHT["loss_and_gradients"](x[:-CHUNK], kernel, bias, labels[:-CHUNK], dlosses[:-CHUNK], **options)
    return *RIGHT["loss_and_gradients"](x, kernel, bias, labels, dlosses, **options)[:2], *some[2:]


# what is planted where, the tensor that is named first, and the cause
MISTAKES = {
    "dbias left out": (
        head, "chunk_backward", of_a_chunk(lambda dx, dkernel, dbias, _: (dx, dkernel, 0 * dbias)),
        "layer 2 dbias", "all zero",
    ),
    "dbias without weights": (
        head, "chunk_backward",
        of_a_chunk(lambda dx, dkernel, dbias, w: (dx, dkernel, dbias / tf.reduce_sum(w))), "layer 2 dbias", "",
    ),
    "sample weights left out": (
        head, "mean_loss_and_gradients", given(lambda x, y, w: (x, y, None)), "loss", "sample weights are ignored",
    ),
    "weights of another token": (
        head, "mean_loss_and_gradients", given(lambda x, y, w: (x, y, tf.reverse(w, [1]))), "loss", "",
    ),
    "labels of another example": (
        head, "mean_loss_and_gradients", given(lambda x, y, w: (x, tf.roll(y, 1, 0), w)), "loss", "",
    ),
    "1/B in place of 1/N": (
        head, "mean_loss_and_gradients", given(lambda x, y, w: (x, y, 6 * w)), "loss", "",
    ),
    "weights in dx twice": (
        head, "chunk_backward", of_a_chunk(lambda dx, dkernel, dbias, w: (w[:, None] * dx, dkernel, dbias)),
        "layer 1 dy", "",
    ),
    "dx with the remainder behind": (
        head, "loss_and_gradients",
        of_all_chunks(lambda loss, dx, *others: (loss, tf.roll(dx, -(30 % CHUNK), 0), *others)), "layer 1 dy", "",
    ),
    "dx of chunks exchanged": (
        head, "loss_and_gradients",
        of_all_chunks(
            lambda loss, dx, *others: (loss, tf.concat([dx[:2], tf.roll(dx[2:], CHUNK, 0)], axis=0), *others)
        ),
        "layer 1 dy", "",
    ),
    "the first chunk's dx alone": (
        head, "loss_and_gradients",
        of_all_chunks(lambda loss, dx, *others: (loss, tf.concat([dx[:9], 0 * dx[9:]], axis=0), *others)),
        "layer 1 dy", "",
    ),
    "the last chunk's kernel left out": (head, "loss_and_gradients", last_chunk_left_out, "layer 2 dkernel", ""),
    "the labels of a chunk shifted in the backward": (
        head, "chunk_backward", of_the_labels_before, "layer 2 dkernel", "",
    ),
    "a label in every block of classes": (
        head, "_place_of", lambda labels, first, kernel: (labels % kernel.shape[0], labels >= 0), "loss", "",
    ),
    "all blocks scaled as the first": (
        head, "chunk_backward", of_the_first_block_s_scale, "layer 2 dkernel", "",
    ),
    "dkernel negative": (
        head, "chunk_backward", of_a_chunk(lambda dx, dkernel, dbias, _: (dx, -dkernel, dbias)),
        "layer 2 dkernel", "",
    ),
    "losses of a chunk added up without weights": (
        head, "chunk_forward",
        lambda *given, **options: (2 * RIGHT["chunk_forward"](*given, **options)[0],
                                   RIGHT["chunk_forward"](*given, **options)[1]),
        "loss", "",
    ),
    "a loss scale that nobody asked for": (
        backprop, "_scaled", lambda gradients, *_: tf.nest.map_structure(lambda g: g / 2, gradients),
        "layer 2 dkernel", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named(monkeypatch, mistake):
    module, function, wrong, tensor, cause = MISTAKES[mistake]
    if function == "mean_loss_and_gradients":
        monkeypatch.setitem(backprop.WITH_LOSS, "LinearCrossEntropy", wrong)
    else:
        monkeypatch.setattr(module, function, wrong)
    results = run_cell(Cell(CASE, "float64", "graph"))
    found = first_wrong(results)
    assert found is not None
    writing, said = at_fault(results, found)
    assert (writing, found.scope, said.tensor) == ("manual", "end to end", tensor)
    assert cause in said.cause


def of_both(change):
    """tied_backward of manual with another sum of the lookups' part and the last layer's."""

    def backward(network, gradients):
        first, *others, last = gradients
        return [{"embeddings": change(first["embeddings"], last["kernel"])}, *others, {}]

    return backward


# the lookups' part and the last layer's kernel, (9, 5) and (5, 9), and the cause
TIES = {
    "forgotten": (lambda a, c: a, "the term of the last layer is missing"),
    "the lookups overwritten": (lambda a, c: tf.transpose(c), "the term of the lookups is missing"),
    "the last layer's twice": (lambda a, c: a + 2 * tf.transpose(c), "of the last layer"),
    "the lookups' twice": (lambda a, c: 2 * a + tf.transpose(c), "of the lookups"),
    "subtracted": (lambda a, c: a - tf.transpose(c), "of the last layer"),
    "not transposed": (lambda a, c: a + tf.reshape(c, tf.shape(a)), ""),
    "divided by N again": (lambda a, c: a + tf.transpose(c) / 30, ""),
    "divided by B again": (lambda a, c: a + tf.transpose(c) / 5, ""),
    "the mean of both": (lambda a, c: (a + tf.transpose(c)) / 2, ""),
    "rows in another order": (lambda a, c: a + tf.transpose(c)[::-1], ""),
}


@pytest.mark.parametrize("tie", TIES)
def test_a_wrong_tie_is_named(monkeypatch, tie):
    wrong, cause = TIES[tie]
    monkeypatch.setattr(backprop, "tied_backward", of_both(wrong))
    results = run_cell(Cell(TIED, "float64", "graph"))
    found = first_wrong(results)
    assert found is not None
    writing, said = at_fault(results, found)
    assert (writing, found.scope, said.tensor) == ("manual", "end to end", "layer 0 dembeddings")
    assert cause in said.cause
    # each layer by itself is right
    assert {r.comparison.tensor for r in results if not r.comparison.agrees} == {"layer 0 dembeddings"}


def test_a_wrong_tie_of_the_reference_is_laid_to_it(monkeypatch):
    right = backprop_of_reference.tied_backward
    monkeypatch.setattr(
        backprop_of_reference,
        "tied_backward",
        lambda network, gradients: [gradients[0], *right(network, gradients)[1:]],
    )
    results = run_cell(Cell(TIED, "float64", "graph"))
    writing, said = at_fault(results, first_wrong(results))
    assert (writing, said.tensor) == ("reference", "layer 0 dembeddings")
