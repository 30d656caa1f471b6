"""Between `tfbp.Network` and Keras: initial parameters, and whole models both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfbp.checks import InputError, check_choice, check_parameters
from tfbp.keras_activations import KerasActivation as KerasActivation
from tfbp.keras_activations import activation_of, keras_activation
from tfbp.network import Dense, Network, Parameters
from tfbp.vocabulary import ACTIVATIONS, L1L2, Activation, Loss

if TYPE_CHECKING:
    from tfbp.network import Initializer

_FLOATS = ("float64", "float32", "bfloat16", "float16")


def initial_parameters(network: Network, seed: int) -> Parameters:
    """Fresh float64 parameters from the layers' initializers; every tensor has a seed of its own, made from `seed`.

    Raises:
        InputError: a seed that is no integer of 0 or more, or an initializer that Keras does not know.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: got {seed!r}; accepted: an integer of 0 or more.")
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(network.layers)).tolist())
    parameters = []
    for layer, shapes in zip(network.layers, network.parameter_shapes(), strict=True):
        layer_seeds = {"kernel": next(seeds), "bias": next(seeds)}
        parameters.append(
            {
                name: _initial(f"{name}_initializer", getattr(layer, f"{name}_initializer"), shape, layer_seeds[name])
                for name, shape in shapes.items()
            }
        )
    return parameters


def from_keras(sequential: keras.Sequential, loss: str | Loss) -> tuple[Network, Parameters]:
    """The network and parameters of a built Sequential of Dense layers, each with or without an activation layer.

    Args:
        sequential: InputLayer, Dense, Activation, ReLU, LeakyReLU, ELU and Softmax layers; an activation layer must
            follow a linear Dense.
        loss: the loss that the network is to have.

    Returns:
        The network, and its parameters as float64 arrays holding exactly the model's values.

    Raises:
        InputError: no Sequential, one that is not built, or a layer or option that a `tfbp.Dense` cannot express.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
        >>> network, parameters = Network.from_keras(model, "sparse_categorical_crossentropy")
        >>> network.layers[0].activation.name, parameters[1]["kernel"].shape
        ('relu', (3, 2))
    """
    if not isinstance(sequential, keras.Sequential):
        raise InputError(f"sequential: got {sequential!r}; accepted: a keras.Sequential.")
    if not sequential.built or not sequential.layers:
        raise InputError("sequential: got a model that is not built; accepted: one with a keras.Input or a first call.")
    layers: list[Dense] = []
    parameters: Parameters = []
    for keras_layer in sequential.layers:
        if type(keras_layer).__name__ == "Dense":
            layers.append(_dense_from_keras(keras_layer))
            names = ("kernel", "bias") if keras_layer.use_bias else ("kernel",)
            parameters.append({name: np.asarray(getattr(keras_layer, name)).astype(np.float64) for name in names})
        elif layers and layers[-1].activation.name == "linear":
            layers[-1] = Dense(**{**vars(layers[-1]), "activation": _activation_from_keras(keras_layer)})
        else:
            raise InputError(f"sequential: got the layer {keras_layer.name!r} where a Dense is accepted.")
    return Network(parameters[0]["kernel"].shape[0], layers, loss), parameters


def dtype_policy_of(sequential: keras.Sequential) -> Any:
    """The dtype policy that the layers of a Sequential share.

    Raises:
        InputError: layers of different policies.
    """
    policies = {layer.dtype_policy.name: layer.dtype_policy for layer in sequential.layers if layer.weights}
    if len(policies) > 1:
        raise InputError(f"sequential: got layers of {' and '.join(policies)}; accepted: one dtype policy for all.")
    return next(iter(policies.values()), sequential.dtype_policy)


def to_keras(
    network: Network, parameters: Sequence[Mapping[str, Any]], dtype: str = "float32", layers: Any = keras.layers
) -> keras.Sequential:
    """A `keras.Sequential` with these parameters; its predictions are the network's, bit for bit in one mode.

    Args:
        parameters: one dict per layer, as `Network.init` gives them.
        dtype: "float64", "float32", "bfloat16" or "float16".
        layers: where Dense is taken from: keras.layers, or `tfbp.layers`, whose backward is written by hand.

    Raises:
        InputError: parameters that do not fit, an unknown dtype, or layers without a Keras Dense.

    Example:
        >>> network = Network(4, [Dense(3, "relu"), Dense(2)], "mean_squared_error")
        >>> network.to_keras(network.init(seed=0)).output_shape
        (None, 2)
    """
    check_parameters(network, parameters)
    check_choice("dtype", dtype, _FLOATS)
    dense = getattr(layers, "Dense", None)
    if not (isinstance(dense, type) and issubclass(dense, keras.layers.Dense)):
        raise InputError(f"layers: got {layers!r}; accepted: keras.layers or tfbp.layers.")
    model = keras.Sequential([keras.Input((network.inputs,), dtype=dtype)])
    for layer, weights in zip(network.layers, parameters, strict=True):
        keras_layer = dense(
            layer.units,
            activation=keras_activation(layer.activation),
            use_bias=layer.use_bias,
            kernel_initializer=keras.initializers.get(layer.kernel_initializer),
            bias_initializer=keras.initializers.get(layer.bias_initializer),
            kernel_regularizer=_regularizer_to_keras(layer.kernel_regularizer),
            bias_regularizer=_regularizer_to_keras(layer.bias_regularizer),
            dtype=dtype,
        )
        model.add(keras_layer)
        keras_layer.set_weights([np.asarray(weights[name]) for name in ("kernel", "bias") if name in weights])
    return model


def _initial(argument: str, initializer: Initializer, shape: tuple[int, ...], seed: int) -> np.ndarray:
    try:
        found = keras.initializers.get(initializer)
        config = found.get_config()
        if config.get("seed", 0) is None or (isinstance(initializer, str) and "seed" in config):
            found = type(found).from_config({**config, "seed": seed})
        return np.asarray(found(shape, dtype="float64"))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{argument}: got {initializer!r}, which makes no tensor of shape {shape} in Keras ({error}); "
            "accepted: a Keras initializer that fits the shape."
        ) from error


def _dense_from_keras(keras_layer: Any) -> Dense:
    for option in ("activity_regularizer", "kernel_constraint", "bias_constraint", "lora_rank", "quantization_mode"):
        if getattr(keras_layer, option, None) is not None:
            raise InputError(f"sequential: got {keras_layer.name!r} with {option}; accepted: a Dense without it.")
    return Dense(
        keras_layer.units,
        activation=_activation_from_keras(keras_layer.activation),
        use_bias=keras_layer.use_bias,
        kernel_initializer=keras_layer.kernel_initializer,
        bias_initializer=keras_layer.bias_initializer,
        kernel_regularizer=_regularizer_from_keras(keras_layer.name, keras_layer.kernel_regularizer),
        bias_regularizer=_regularizer_from_keras(keras_layer.name, keras_layer.bias_regularizer),
    )


def _activation_from_keras(given: Any) -> Activation:
    activation = activation_of(given)
    if activation is None:
        inner = given.activation if isinstance(given, keras.layers.Activation) else given
        kind = type(inner).__name__
        raise InputError(
            f"sequential: got {kind} {getattr(inner, '__name__', kind)!r}; accepted: Dense, Activation, ReLU, "
            f"LeakyReLU, ELU and Softmax layers with activations from {', '.join(ACTIVATIONS)}."
        )
    return activation


def _regularizer_from_keras(layer_name: str, given: Any) -> L1L2 | None:
    if given is None:
        return None
    if not isinstance(given, keras.regularizers.L1 | keras.regularizers.L2 | keras.regularizers.L1L2):
        raise InputError(f"sequential: got {layer_name!r} with {given!r}; accepted: the regularizers L1, L2 and L1L2.")
    return L1L2(float(getattr(given, "l1", 0.0)), float(getattr(given, "l2", 0.0)))


def _regularizer_to_keras(regularizer: L1L2 | None) -> Any:
    return regularizer and keras.regularizers.L1L2(regularizer.l1, regularizer.l2)
