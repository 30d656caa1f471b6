"""XLA makes the same program of the manual step and of the tape's: the same operations in the same order."""

import functools
import re

import pytest
import tensorflow as tf

from tfbp import Dense, Model, Network
from tfbp.fitting import loops, tables
from tfbp.fitting.compiler import Way
from tfbp.training.rules import build

pytestmark = pytest.mark.xla
# the benchmark's: widths from inputs to classes, and the batch
SIZES = [
    ((2, 2, 2), 1),
    ((2, 2, 2), 4),
    ((64, 32, 10), 32),
    ((784, 128, 10), 32),
    ((784, 128, 10), 128),
    ((784, 512, 512, 10), 128),
    ((2048,) * 5, 256),
]


def operations(gradients, name="train", widths=(64, 32, 10), batch=32, activation="relu", optimizer="sgd"):
    """Opcode and shape of every instruction of the compiled program, in order; constants aside.

    TensorFlow's kernel adds up a bias's gradient from -0, where a sum starts at 0: that is a constant of its own."""
    layers = [*(Dense(units, activation) for units in widths[1:-1]), Dense(widths[-1])]
    model = Model(Network(widths[0], layers, "sparse_categorical_crossentropy"), gradients, seed=0)
    model.compile(optimizer, jit_compile=True)
    rows = 4 * batch
    x, labels = tf.zeros([rows, widths[0]]), tf.zeros([rows], tf.int32)
    build(model, (x[:batch], labels[:batch]))
    order, between = tf.range(rows), tf.constant([0, 4, batch, rows])
    numbers = tf.constant([2, 0, 4, batch, rows, rows])
    arguments = {"train": (order, between), "epochs": (tf.stack([order, order]), numbers)}[name]
    block = functools.partial(loops.block, name="train", even=True)
    make = {"train": block, "epochs": functools.partial(loops.epochs, name="train", full=True, left=0)}[name]
    specs = [tf.TensorSpec.from_tensor(each) for each in (*arguments, x, labels)]
    function = make(tables.of(model, (x, labels)), batch, specs, way=Way(full=True, rest=True))
    compiled = tf.function(lambda *given: function(*given)[0], jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(*arguments, x, labels)(stage="optimized_hlo")
    found = re.findall(r"^ +(?:ROOT )?%\S+ = (.+?) ([a-z-]+)\(", text, re.MULTILINE)
    return [(opcode, shape) for shape, opcode in found if opcode != "constant"]


@pytest.mark.parametrize(("widths", "batch"), SIZES, ids=[f"{'-'.join(map(str, w))}-batch-{b}" for w, b in SIZES])
@pytest.mark.sampled(3)
def test_manual_compiles_to_what_tape_compiles_to(widths, batch):
    manual, tape = (operations(gradients, widths=widths, batch=batch) for gradients in ("manual", "tape"))
    assert len(manual) > 250
    assert manual == tape


@pytest.mark.parametrize("name", ["train", "epochs"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.sampled(5)
def test_so_do_other_activations_optimizers_and_whole_epochs(activation, optimizer, name):
    manual, tape = (
        operations(gradients, name, (64, 32, 16, 10), 32, activation, optimizer) for gradients in ("manual", "tape")
    )
    assert len([opcode for opcode, _ in manual if opcode == "dot"]) == 8
    assert manual == tape
