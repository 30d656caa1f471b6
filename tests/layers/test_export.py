"""Layers export to Keras's formats: TFLite (LiteRT) with its own operations alone, no more than Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfbp import Activation, layers
from tfbp.bridge.activations import keras_activation
from tfbp.vocabulary import ACTIVATIONS

THRESHOLD = {"threshold": 0.25, "default_value": -0.5}
WITH_ARGUMENTS = {
    "gelu": {"approximate": True},
    "elu": {"alpha": 0.5},
    "celu": {"alpha": 0.5},
    "leaky_relu": {"negative_slope": 0.3},
    "relu": {"max_value": 1.0, "threshold": 0.5},
    "squareplus": {"b": 2.0},
    "threshold": THRESHOLD,
}
# layer: (name of the class, arguments, shape of x, None for an axis that the model does not know)
LAYERS = {
    **{
        f"Activation-{name}": ("Activation", {"activation": keras_activation(Activation(name))}, (4, 6))
        for name in ACTIVATIONS
        if name != "threshold"
    },
    **{
        f"Activation-{name}-with-arguments": (
            "Activation",
            {"activation": keras_activation(Activation(name, a))},
            (4, 6),
        )
        for name, a in WITH_ARGUMENTS.items()
    },
    **{f"Dense-{name}": ("Dense", {"units": 3, "activation": name}, (4, 6)) for name in ("linear", "gelu", "softmax")},
    "Dense-no-bias": ("Dense", {"units": 3, "use_bias": False}, (None, 6)),
    "Dense-rank3": ("Dense", {"units": 3, "activation": "gelu"}, (None, 2, 6)),
    "Dense-rank4-unknown": ("Dense", {"units": 3, "activation": "silu"}, (None, None, 2, 6)),
    "ReLU": ("ReLU", {}, (4, 6)),
    "ReLU-bounded": ("ReLU", {"max_value": 1.0}, (4, 6)),
    "ReLU-6": ("ReLU", {"max_value": 6.0}, (None, 6)),
    "ReLU-sloped": ("ReLU", {"negative_slope": 0.25}, (4, 6)),
    "ReLU-all": ("ReLU", {"max_value": 1.0, "negative_slope": 0.25, "threshold": 0.5}, (4, 6)),
    "LeakyReLU": ("LeakyReLU", {}, (4, 6)),
    "ELU": ("ELU", {"alpha": 0.5}, (4, 6)),
    "PReLU": ("PReLU", {"alpha_initializer": "random_normal"}, (None, 6)),
    "PReLU-shared": ("PReLU", {"alpha_initializer": "random_normal", "shared_axes": [1, 2]}, (None, 3, 2, 6)),
    "Softmax": ("Softmax", {}, (None, 6)),
    "Softmax-axis-1": ("Softmax", {"axis": 1}, (4, 5, 6)),
    "Softmax-axes-1-2": ("Softmax", {"axis": [1, 2]}, (4, 5, 6)),
}
# operations that Keras's own forward has not, and that every converter knows
PLAIN = {
    "Abs",
    "AddV2",
    "Greater",
    "Less",
    "Maximum",
    "Minimum",
    "Mul",
    "RealDiv",
    "Relu",
    "SelectV2",
    "StridedSlice",
    "Sub",
}


def model_of(room, name):
    kind, arguments, shape = LAYERS[name]
    x = keras.Input(batch_shape=shape)
    return keras.Model(x, getattr(room, kind)(**arguments)(x))


def pair_of(name):
    ours, theirs = model_of(layers, name), model_of(keras.layers, name)
    theirs.set_weights(ours.get_weights())
    shape = [2 if size is None else size for size in LAYERS[name][2]]
    return ours, theirs, 2 * np.random.default_rng(0).normal(size=shape).astype("float32")


def converted(model):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


def operations_and_outputs(content, x):
    with pytest.warns(UserWarning, match="tf.lite.Interpreter is deprecated"):
        interpreter = tf.lite.Interpreter(
            model_content=content,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    operations = [operation["op_name"] for operation in interpreter._get_ops_details()]
    return operations, interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(3)
def test_tflite_converts_it_into_no_more_operations_than_keras_s(name):
    ours, theirs, x = pair_of(name)
    got, y = operations_and_outputs(converted(ours), x)
    expected, expected_y = operations_and_outputs(converted(theirs), x)
    assert len(got) <= len(expected), (got, expected)
    np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, theirs(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_a_frozen_graph_has_keras_s_operations_or_plain_ones(name):
    """What converters to other formats start from."""
    found = []
    for model in pair_of(name)[:2]:
        concrete = tf.function(model).get_concrete_function(tf.TensorSpec(model.input_shape))
        frozen = convert_variables_to_constants_v2(concrete)
        found.append({operation.type for operation in frozen.graph.get_operations()})
    assert found[0] - found[1] <= PLAIN | {"IdentityN", "Const"}


def test_a_head_converts_as_dense_does():
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    inputs = keras.Input((5, 6))
    ours = keras.Model(inputs, layers.LinearCrossEntropy(7, soft_cap=3.0)(inputs))
    z = keras.layers.Dense(7)(inputs)
    theirs = keras.Model(inputs, 3.0 * keras.ops.tanh(z / 3.0))
    theirs.set_weights(ours.get_weights())
    got, y = operations_and_outputs(converted(ours), x)
    expected, expected_y = operations_and_outputs(converted(theirs), x)
    assert set(got) <= set(expected)
    np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("activation", ["gelu", "softplus", "leaky_relu"])
@pytest.mark.sampled(4)
def test_tflite_converts_in_another_dtype_what_it_converts_of_keras_s(activation, policy):
    def converts(room):
        x = keras.Input((6,))
        model = keras.Model(x, room.Dense(4, activation, dtype=policy)(x))
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        try:
            return bool(converter.convert())
        except Exception:
            return False

    assert converts(layers) >= converts(keras.layers)
