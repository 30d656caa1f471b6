"""A keras.Model with gradients coded by hand (or from the tape), and a fit that owns its loop.

N samples, B batch, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf

from tfbp import manual, tape
from tfbp.bridge.layers import weights_of
from tfbp.bridge.models import dtype_policy_of, network_and_sources, parameters_of
from tfbp.bridge.unexpressed import trained_in
from tfbp.errors import InputError, check_choice, check_count, check_positive
from tfbp.fitting import plans
from tfbp.fitting.contract import privacy_of
from tfbp.manual.compiled import has_gpu
from tfbp.network import Network, Parameters, at, map_weights, named_weights, placed
from tfbp.network.validation import check_parameters
from tfbp.training import replica, samples, step, structures, suspects, workers
from tfbp.training.arguments import (
    CompileOptions,
    EvaluateOptions,
    FitOptions,
    FromKerasOptions,
    ModelOptions,
    by_name,
)
from tfbp.training.layer_weights import layer_weights
from tfbp.training.passes import passes
from tfbp.training.rules import NetworkRules, build
from tfbp.vocabulary import Loss

WRITINGS: dict[str, Any] = {"manual": manual, "tape": tape}
# layers through which a tape calls kernels for which XLA's loops on a CPU take many times as long as TensorFlow's
SLOW_ON_CPU = ("Conv2D", "DepthwiseConv2D", "MaxPooling2D")
# what a compile has traced
TRACED = ("_tfbp_programs", "replica_programs", "train_function")


@keras.saving.register_keras_serializable(package="tfbp")
class Model(keras.Model):
    """Keras's compile, fit, evaluate, predict and callbacks, on a `tfbp.Network`.

    NumPy arrays and tensors are trained on in blocks: many steps as one compiled program that gathers its own shuffled
    batches. Everything else (tf.data, generators, memory-mapped arrays, steps_per_epoch) takes Keras's own way, with
    the same hand-coded step.

    Made in `with strategy.scope():` of a MirroredStrategy or a MultiWorkerMirroredStrategy, it trains on the same
    global batches on all replicas, to the same history and weights. There, XLA compiles each replica's gradients and
    not the block around them: the sum over replicas cannot be inside an XLA program on a CPU.

    With several inputs or outputs, x, y and sample weights are tuples or lists in the network's order, or dicts by
    name. Each output then has its loss and its metrics in the logs, as in Keras. Clipping and privacy take one input
    and one output, and so does a strategy.

    Args:
        network: what is trained; its loss is the model's.
        gradients: "manual" or "tape".
        seed: of the initial parameters and of the shuffling; epoch e of any run shuffles alike.
        input_names: of several inputs; by default input_0, input_1, ….
        output_names: of several outputs; by default output_0, output_1, ….
        dtype: a Keras dtype or dtype policy, e.g. "float64" or "mixed_bfloat16".

    Raises:
        InputError: something that is not a network, or an unknown name.

    Example:
        >>> import numpy as np
        >>> from tfbp import Dense, Model, Network
        >>> model = Model(Network(2, [Dense(8, "tanh"), Dense(2)], "sparse_categorical_crossentropy"))
        >>> model.compile("adam", metrics=["accuracy"])
        >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> history = model.fit(x, np.array([0, 1, 1, 0]), batch_size=4, epochs=2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'loss']

    Reference: https://keras.io/api/models/model_training_apis/
    """

    fitting_rules = NetworkRules

    def __init__(
        self,
        network: Network,
        gradients: str = "manual",
        seed: int = 0,
        *,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(**options)
        if not isinstance(network, Network):
            raise InputError(f"network: got {network!r}; accepted: a tfbp.Network.")
        check_choice("gradients", gradients, WRITINGS)
        inputs, outputs = len(network.input_shapes), len(network.losses)
        if inputs > 1:
            self.input_names = structures.names_of("input_names", input_names, inputs, "input")
        if outputs > 1:
            # Keras's metrics have these before their names
            self.output_names = structures.names_of("output_names", output_names, outputs, "output")
        self.output_losses = [keras.metrics.Mean(f"{name}_loss") for name in getattr(self, "output_names", ())]
        self.network, self.gradients, self.seed = network, gradients, seed
        self.writing = WRITINGS[gradients]
        first = network.init(seed)
        nodes = network.weight_nodes
        self.layer_weights = [
            layer_weights(at(first, node.place), node, name=f"layer_{node.name}", dtype=self.dtype_policy)
            for node in nodes
        ]
        variables = {node.place: layer.parameters for node, layer in zip(nodes, self.layer_weights, strict=True)}
        # as the parameters nest
        self.parameter_variables = placed(network.layers, variables)
        # how many steps have drawn: a run that goes on draws on
        self.draws = (
            self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="draws")
            if network.draws
            else None
        )
        # the run of a fit on arrays, for callbacks
        self.array_run: Any = None
        # Keras builds and exports only models that were called
        self(self._zeros())

    @classmethod
    def from_keras(
        cls, model: keras.Model, loss: str | Loss | None = None, **options: Unpack[FromKerasOptions]
    ) -> Model:
        """A model with the layers and weights of a built Keras model, frozen where it is; see `Network.from_keras`.

        Args:
            model: a Sequential, or a Functional model.
            loss: by default the one that the model is compiled with; for several outputs a list or a dict by name.
            options: those of `Model`, as gradients, seed and dtype.

        Raises:
            InputError: a layer or an argument that a network cannot express, named; a frozen BatchNormalization.
        """
        network, sources = network_and_sources(model, loss)
        names: dict[str, Any] = {"input_names": [tensor.name for tensor in model.inputs]}
        names["output_names"] = getattr(model, "output_names", None)
        made = cls(network, **{"dtype": dtype_policy_of(model), **names, **options})
        made.set_parameters(parameters_of(network, sources))
        made.trainable = model.trainable
        trained = trained_in(model)
        for node, ours in zip(network.weight_nodes, made.layer_weights, strict=True):
            theirs = sources.get(node.place)
            if theirs is None:
                continue  # a tied last layer, which has no weights
            flags = {name: id(w) in trained for name, w in weights_of(node.layer, theirs).items()}
            ours.trainable = theirs.trainable
            for name, variable in ours.parameters.items():
                variable.trainable = flags.get(name, False)
        return made

    def to_keras(self) -> keras.Model:
        """A plain Keras model with the current weights; see `Network.to_keras`."""
        return self.network.to_keras(self.get_parameters(), dtype=self.dtype_policy.variable_dtype)

    def get_parameters(self) -> Parameters:
        """A copy of the weights: one dict per layer, a Dense's kernel (I, O) and bias (O,)."""
        return map_weights(lambda w: np.array(w.value.numpy()), self.parameter_variables)

    def set_parameters(self, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Take over the weights.

        Raises:
            InputError: parameters that do not fit the network.
        """
        check_parameters(self.network, parameters)
        for place, name, variable in named_weights(self.parameter_variables):
            variable.assign(at(parameters, place)[name])

    def call(self, x: Any, training: bool = False) -> Any:
        """The network's outputs, (B, O) or (B, …, O), a list of several; in training, layers act and draw as in the
        step that is next."""
        options = {"training": True, "seed": step.seed_of(self)} if training is True else {}
        x = structures.inputs_of(self, x)
        weights, x = step.fed(self.network, self.compute_dtype, step.read(self), x)
        made = self.writing.forward(self.network, weights, x, **options)
        return list(made) if isinstance(made, tuple) else made

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        jit_compile: bool | None = None,
        steps_per_execution: int | None = None,
        run_eagerly: bool = False,
        **options: Unpack[CompileOptions],
    ) -> None:
        """As Keras's compile; the loss is the network's.

        Args:
            optimizer: any Keras optimizer, or its name.
            jit_compile: compile the steps with XLA; by default True, and False for a tape through a convolution or max
                pooling on a CPU, because XLA computes their gradients many times slower.
            steps_per_execution: how many steps a block has; by default, about a tenth of a second's worth where
                something watches the batches, and the whole epoch where nothing does.
            options: metrics, weighted_metrics, auto_scale_loss; loss_weights, a number that multiplies the loss, or
                one for each of several outputs.

        Raises:
            InputError: a loss, because the network has one; an optimizer or metric that the strategy cannot take.
        """
        if loss is not None:
            own = ", ".join(each.name for each in self.network.losses)
            raise InputError(f"loss: got {loss!r}; accepted: none, the network's is {own!r}.")
        if steps_per_execution is not None:
            check_count("steps_per_execution", steps_per_execution)
        names = getattr(self, "output_names", None)
        self.loss_weight = structures.loss_weights_of(options.pop("loss_weights", None), names)
        weighs_outputs = isinstance(self.loss_weight, tuple)
        self.weighted_network = self.network.weighted(self.loss_weight) if weighs_outputs else self.network
        if jit_compile is None:
            jit_compile = not self._is_slow_under_xla()
        with self.distribute_strategy.scope():
            super().compile(
                optimizer,
                jit_compile=jit_compile and not run_eagerly,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution or 1,
                **options,
            )
        self.compiles_gradients = self.jit_compile
        if self._distribute_strategy is not None:
            replica.prepare(self, options)
        self.block_steps = steps_per_execution
        self._tfbp_programs: Any = None
        # Keras's wrappers for scikit-learn ask for it
        names_of_losses = [loss.name for loss in self.network.losses]
        self.loss = names_of_losses if len(names_of_losses) > 1 else names_of_losses[0]
        self.replica_programs: dict[str, Any] = {}
        # what was traced for the other bounds of fit's clip_per_example
        self.clip: float | None = None
        self.clip_rows: int | None = None
        self._traced: dict[str, list[Any]] = {}

    def _is_slow_under_xla(self) -> bool:
        by_kernels = self.writing is tape and not has_gpu()
        return by_kernels and any(node.layer.keras_name in SLOW_ON_CPU for node in self.network.nodes)

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        return config and {**config, "steps_per_execution": self.block_steps, "loss_weights": self.loss_weight}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One hand-coded step on one batch: the metrics so far."""
        if type(self).call is not Model.call or type(self).compute_loss is not keras.Model.compute_loss:
            # the gradient of another function than the network's: the tape computes it
            return super().train_step(data)
        x, y, sample_weight = structures.batch_of(self, data)
        if self._distribute_strategy is None:
            return step.train(self, x, y, sample_weight)
        return replica.train(self, x, y, sample_weight)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The metrics so far, with one batch more."""
        if type(self).call is not Model.call or type(self).compute_loss is not keras.Model.compute_loss:
            return super().test_step(data)
        x, y, sample_weight = structures.batch_of(self, data)
        if self._distribute_strategy is None:
            return step.evaluate(self, x, y, sample_weight)
        return replica.evaluate(self, x, y, sample_weight)

    def first_non_finite(self, batch: Any) -> Any:
        """The first tensor of a step that is not finite, for `TerminateOnNaN`."""
        return suspects.first_non_finite(self, batch)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *positional: Any,
        clip_per_example: float | None = None,
        privacy: Any = None,
        **options: Unpack[FitOptions],
    ) -> keras.callbacks.History:
        """As Keras's fit, to the same history and weights, faster; `shuffle` follows the model's seed.

        With `clip_per_example`, no example moves a step by more than its share of the bound:

            gradient = 1/B Σ_b min(1, clip_per_example / ‖g_b‖) g_b + that of the penalties

        where g_b is the gradient of sample_weight[b] · losses[b], and its norm is over all trainable weights together.
        B is the batch size, of a last shorter batch, too; an example with a number that is not finite counts 0. One
        backward pass does it (`tfbp.manual.per_example`). The loss in the logs is not clipped.

        Args:
            clip_per_example: the largest norm of an example's own gradient; by default they are left as they are.
                Only with gradients="manual": the backward pass by hand has each example's part.
            privacy: a `tfbp.Privacy`, for differentially private training; the history has a report on it, `privacy`.

        Raises:
            InputError: arrays of unequal length or that do not fit the network, a batch size below 1 or the number of
                replicas, workers with different arguments, a bound that is not a finite number above 0, or one
                with gradients="tape".
            ConnectionError: another worker is gone.
        """
        given = by_name(keras.Model.fit, x, y, positional, options)
        if privacy is not None:
            self._check_own_methods("privacy")
            if clip_per_example is not None or self.writing is not manual:
                raise InputError(
                    f"privacy: got one with clip_per_example={clip_per_example} and gradients={self.gradients!r}; "
                    "accepted: gradients='manual', and the clip of the Privacy."
                )
            return privacy_of(privacy).fit(self, given)
        if clip_per_example is None:
            return self._fit(given)
        check_positive("clip_per_example", clip_per_example)
        if self.writing is not manual:
            raise InputError(
                f"clip_per_example: got {clip_per_example} with gradients={self.gradients!r}; accepted: a bound with "
                "gradients='manual' only."
            )
        self._check_own_methods("clip_per_example")
        self._assert_compile_called("fit")
        self._clip_to(float(clip_per_example), samples.rows_of_a_batch(x, given["batch_size"]))
        try:
            return self._fit(given)
        finally:
            self._clip_to(None, None)

    def _fit(self, given: dict[str, Any]) -> keras.callbacks.History:
        with workers.lost_worker_named(self):
            return plans.fit(self, given)

    def _clip_to(self, clip: float | None, rows: int | None) -> None:
        """Take up the bound, and the programs that were traced for it, the loop's own and Keras's."""
        self._traced[f"{self.clip} {self.clip_rows}"] = [getattr(self, name, None) for name in TRACED]
        self.clip, self.clip_rows = clip, rows
        for name, value in zip(TRACED, self._traced.get(f"{clip} {rows}", [None, {}, None]), strict=True):
            setattr(self, name, value)

    def _check_own_methods(self, argument: str) -> None:
        """Raise `InputError` where nothing would clip: a subclass's own loss, several inputs or outputs."""
        for name in ("call", "compute_loss", "train_step"):
            ours = keras.Model if name == "compute_loss" else Model
            if getattr(type(self), name) is not getattr(ours, name) or name in vars(self):
                raise InputError(
                    f"{argument}: got a {type(self).__name__} with a {name} of its own, which goes around it; "
                    "accepted: a tfbp.Model that trains on its network's loss."
                )
        if len(self.network.input_shapes) > 1 or len(self.network.losses) > 1:
            got = f"{len(self.network.input_shapes)} inputs and {len(self.network.losses)} outputs"
            raise InputError(f"{argument}: got it for a network of {got}; accepted: one input and one output.")

    def clipped_examples(self, data: Any, factors_of: Any) -> Any:
        """For `tfbp.Privacy`, of a batch: losses, outputs, clipped sums of the gradients, which examples count."""
        return step.clipped_examples(self, data, factors_of)

    def gradients_of_penalties(self) -> list[Any]:
        """The gradient of the penalties by each trainable weight; None where it has none."""
        return step.penalties_of(self)

    def ways_of_layers(self) -> dict[str, str]:
        """By which way each layer's gradients of single examples go."""
        return {layer.path: "by hand" for layer in self.layer_weights if layer.trainable_variables}

    def per_example_gradient_norms(self, x: Any, y: Any, sample_weight: Any = None, **options: Any) -> Any:
        """The result of `tfbp.per_example_gradient_norms`: the norms, and which way each layer went."""
        per_layer, size = options.get("per_layer", False), options.get("batch_size", 256)
        norms = np.concatenate([each.numpy() for each in passes("norms", self, x, y, sample_weight, size)])
        return norms if per_layer else np.linalg.norm(norms, axis=1), self.ways_of_layers()

    def evaluate(self, x: Any = None, y: Any = None, *positional: Any, **options: Unpack[EvaluateOptions]) -> Any:
        """As Keras's evaluate.

        Raises:
            InputError: as `fit`.
        """
        named: dict[str, Any] = {**options}
        of_fit = {name: named.pop(name) for name in ("_use_cached_eval_dataset",) if name in named}
        given = by_name(keras.Model.evaluate, x, y, positional, named)
        with workers.lost_worker_named(self):
            return plans.evaluate(self, given, of_fit)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "network": self.network.to_json(),
            "gradients": self.gradients,
            "seed": self.seed,
            **{name: list(getattr(self, name)) for name in ("input_names", "output_names") if hasattr(self, name)},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Model:
        config = dict(config)
        return cls(Network.from_json(config.pop("network")), **config)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """As Keras's export; tokens are integers in what it writes, where Keras would have floats."""
        if input_signature is None and not self._is_called_on_one_float:
            zeros = self._zeros()
            input_signature = [
                keras.tree.map_structure(lambda x: keras.InputSpec(x.dtype.name, (None, *x.shape[1:])), zeros)
            ]
        super().export(filepath, format, verbose, input_signature, **options)

    @property
    def _default_save_signature(self) -> Any:
        # Keras traces a call on floats for it, whatever the arguments of `export`
        return super()._default_save_signature if self._is_called_on_one_float else None

    @property
    def _is_called_on_one_float(self) -> bool:
        return len(self.network.input_shapes) == 1 and self.network.tokens is None

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # under a strategy Keras adds up the replicas' first batches to learn their shape, and fails where these differ
        if self._distribute_strategy is not None:
            build(self, (self._zeros(), tf.zeros([1, *self.network.target_shape])))

    def _zeros(self) -> Any:
        """An example that any network can be called on."""
        each = zip(self.network.input_shapes, self.network.input_tokens, strict=True)
        zeros = [tf.zeros([1, *shape], self.compute_dtype if tokens is None else "int32") for shape, tokens in each]
        return zeros if len(zeros) > 1 else zeros[0]
