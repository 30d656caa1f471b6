"""The data that `TensorBoard` writes, as TensorBoard's own messages: statistics, layout, hyperparameters, graph.

S scalars, H histograms.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.histogram.summary_v2 import histogram_pb  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import api  # type: ignore[import-untyped]
from tensorboard.plugins.scalar.summary_v2 import scalar_pb  # type: ignore[import-untyped]

from tfbp.network import map_weights, named_weights
from tfbp.training.reductions import BUCKETS
from tfbp.training.statistics import Statistics

if TYPE_CHECKING:
    from tfbp.network import Network

# a chart's title, and the tags that it gathers beside those of a layer
CURVES = {"loss": "epoch_loss", "accuracy": "epoch_accuracy", "learning rate": "epoch_learning_rate"}


# a node's name, or with a hat where it is only waited for
TAPE_S = re.compile(r"^(\^?)gradient_tape/(?:forward/)?")


def write(message: Any, step: int) -> None:
    """A message to the default writer: one operation, however many values are in it."""
    tf.summary.experimental.write_raw_pb(message.SerializeToString(), step=step)


class StatisticsMessage:
    """One message for all statistics of a step, built once and filled again and again: building is what costs."""

    def __init__(self, statistics: Statistics) -> None:
        self.message = scalar_pb(statistics.scalar_tags[0], 0.0)
        for tag in statistics.scalar_tags[1:]:
            self.message.MergeFrom(scalar_pb(tag, 0.0))
        for tag in statistics.histogram_tags:
            self.message.MergeFrom(histogram_pb(tag, [0.0, 1.0], BUCKETS))
        self._tensors = [value.tensor for value in self.message.value]

    def fill(self, scalars: np.ndarray, limits: np.ndarray, counts: np.ndarray) -> Any:
        """The message with scalars (S,), and histograms between limits (H, 2) with counts (H, 30)."""
        for tensor, scalar in zip(self._tensors, scalars.tolist(), strict=False):
            tensor.float_val[0] = scalar
        # (H, 30, 3): left edge, right edge, count
        # the page wants edges that are numbers; that they are none is seen in the norms
        finite = np.isfinite(limits).all(axis=1)[:, None]
        low, high = np.where(finite, limits, 0).T
        edges = np.linspace(low, high, BUCKETS + 1, axis=1)
        buckets = np.stack([edges[:, :-1], edges[:, 1:], np.where(finite, counts, 0)], axis=-1)
        for tensor, histogram in zip(self._tensors[len(scalars) :], buckets, strict=True):
            tensor.tensor_content = histogram.tobytes()
        return self.message


def layout(model: Any, statistics: Statistics | None) -> Any:
    """The Custom Scalars page: a chart a quantity, with the lines of every run that has it."""
    categories = [("training", CURVES)]
    tags = [] if statistics is None else statistics.scalar_tags
    for index in range(len(model.network.layers)):
        own = {tag.replace(f"/layer_{index}", ""): tag for tag in tags if f"layer_{index}" in tag.split("/")}
        if own:
            categories.append((f"layer_{index}", own))
    page = [
        layout_pb2.Category(
            title=title,
            chart=[
                layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=[f"^{re.escape(tag)}$"]))
                for name, tag in charts.items()
            ],
        )
        for title, charts in categories
    ]
    return custom_scalar.pb(layout_pb2.Layout(category=page))


def hparams_of(model: Any, batch_size: int | None) -> dict[str, Any]:
    """The hyperparameters of a run of a model."""
    settings, network = model.optimizer.get_config(), model.network
    rate = settings.get("learning_rate")
    return {
        "optimizer": type(model.optimizer).__name__,
        "learning_rate": rate["class_name"] if isinstance(rate, dict) else float(model.optimizer.learning_rate.numpy()),
        **hparams_of_network(network),
        "gradients": model.gradients,
        "seed": model.seed,
        "dtype": model.dtype_policy.name,
        **({} if batch_size is None else {"batch_size": batch_size}),
    }


def hparams_of_network(network: Network) -> dict[str, Any]:
    """The hyperparameters that are known without an optimizer."""
    return {
        "layers": ",".join(str(math.prod(node.output_shape)) for node in network.top_nodes),
        "activation": ",".join(layer.applied_activation.name for layer in network.layers),
        "loss": ",".join(loss.name for loss in network.losses),
    }


def hparams(values: dict[str, Any], metrics: Iterable[str], log_dir: str | os.PathLike[str]) -> list[Any]:
    """The page's columns, and a run's values; the trial has the name of the run: the last two folders of its path."""
    tags = [f"epoch_{name}" for name in metrics]
    columns = [api.Metric(tag, display_name=f"train {tag}") for tag in tags]
    # a group is a path from this run's directory
    columns += [api.Metric(tag, group="../validation", display_name=f"validation {tag}") for tag in tags]
    trial = "/".join(Path(os.path.abspath(log_dir)).parts[-2:])
    return [api.hparams_config_pb([api.HParam(name) for name in values], columns), api.hparams_pb(values, trial)]


def graph(model: Any) -> Any:
    """The network's graph on one row: forward, loss, and backward by the model's writing, each under its own name."""
    dtype = model.compute_dtype
    shapes, network = model.network.parameter_shapes(), model.network
    seed = 0 if network.draws else None

    def loss_and_gradients(x: Any, y: Any, *weights: tf.Tensor) -> Any:
        flat = iter(weights)
        parameters = map_weights(lambda _: next(flat), shapes)
        return model.writing.loss_and_gradients(network, parameters, x, y, seed=seed)

    of_each = enumerate(zip(network.losses, network.target_shapes, strict=True))
    y = tuple(
        tf.TensorSpec([1, *shape], tf.int32 if loss.name.startswith("sparse_") else dtype, f"y_{number}")
        for number, (loss, shape) in of_each
    )
    weights = [
        tf.TensorSpec(shape, dtype, f"layer_{'_'.join(map(str, place))}_{name}")
        for place, name, shape in named_weights(shapes)
    ]
    function = tf.function(loss_and_gradients, autograph=False)
    inputs = enumerate(zip(network.input_shapes, network.input_tokens, strict=True))
    x = tuple(
        tf.TensorSpec([1, *shape], dtype if tokens is None else tf.int32, f"x_{number}")
        for number, (shape, tokens) in inputs
    )
    one_x, one_y = (tf.TensorSpec(one[0].shape, one[0].dtype, name) for one, name in ((x, "x"), (y, "y")))
    arguments = x if len(x) > 1 else one_x, y if len(y) > 1 else one_y
    traced = function.get_concrete_function(*arguments, *weights).graph
    definition = traced.as_graph_def()
    # the tape puts gradient_tape before the name of what it differentiates: backward, as the manual writing has it
    for node in definition.node:
        node.name = TAPE_S.sub(r"\1backward/", node.name)
        for index, name in enumerate(node.input):
            node.input[index] = TAPE_S.sub(r"\1backward/", name)
    return definition
