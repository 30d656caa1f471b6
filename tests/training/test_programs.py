"""What XLA makes of the manual step is what it makes of the tape's: the same operations in the same order."""

import re

import pytest
import tensorflow as tf

from tfbp import Dense, Model, Network
from tfbp.training.array_loop import build
from tfbp.training.programs import program

X, LABELS = tf.zeros([320, 64]), tf.zeros([320], tf.int32)
ARGUMENTS = {"train": (tf.range(320), tf.constant([0, 10])), "epochs": (tf.zeros([2, 320], tf.int32), tf.constant(2))}


def operations(gradients, activation, optimizer, name):
    """Opcode and shape of every instruction of the compiled program, in order."""
    layers = [Dense(32, activation), Dense(16, activation), Dense(10)]
    model = Model(Network(64, layers, "sparse_categorical_crossentropy"), gradients, seed=0)
    model.compile(optimizer)
    build(model, (X[:32], LABELS[:32]))
    compiler_ir = program(model, name, 32).experimental_get_compiler_ir(*ARGUMENTS[name], X, LABELS)
    text = compiler_ir(stage="optimized_hlo")
    return [
        (opcode, shape) for shape, opcode in re.findall(r"^ +(?:ROOT )?%\S+ = (.+?) ([a-z-]+)\(", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_manual_compiles_to_what_tape_compiles_to(activation, optimizer, name):
    manual, tape = (operations(gradients, activation, optimizer, name) for gradients in ("manual", "tape"))
    assert len([opcode for opcode, _ in manual if opcode == "dot"]) == 8
    assert manual == tape
