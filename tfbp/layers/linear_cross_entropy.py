"""The last dense layer and the softmax cross-entropy in one Keras layer. x (…, I), kernel (I, O), O = units classes."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.errors import InputError, check_count
from tfbp.layers import hand_written
from tfbp.losses import check_options, linear_cross_entropy


@keras.saving.register_keras_serializable(package="tfbp")
class LinearCrossEntropy(keras.layers.Layer):
    """A language model's head: the logits of `units` classes, or straight the loss, without ever holding the logits.

        layer(x)                                   logits (…, O) = x · kernel + bias, capped; also layer.logits(x)
        layer(x, labels, sample_weight=None)       the mean loss, a scalar, by `tfbp.losses.linear_cross_entropy`

    The loss is returned and also added to the model's losses, so that a model that ends in this layer needs no `loss`
    in compile(). In a training loop of your own take one of the two: what is returned, or sum(model.losses).

    Tokens that x's Keras mask hides (Embedding(mask_zero=True)) take no part, as with `ignore_index`; the argument
    `x_mask` may be of any dtype. With mixed_bfloat16, x is rounded to bfloat16 and the kernel stays in float32, as do
    all sums; logits are bfloat16.

    Args:
        units: the number of classes, O.
        use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint,
            bias_constraint: as keras.layers.Dense.
        ignore_index, label_smoothing, z_loss, soft_cap, chunk_size: as `tfbp.losses.linear_cross_entropy`, which also
            says what the mean divides by.

    Call arguments:
        x: (…, I). labels: (…) or (…, 1), integers. sample_weight: the labels' shape, or that of their first axes.

    Raises:
        InputError: arguments that do not fit.

    Example:
        >>> import keras, numpy as np
        >>> from tfbp.layers import LinearCrossEntropy
        >>> tokens, labels = keras.Input((5,), dtype="int32"), keras.Input((5,), dtype="int32")
        >>> x = keras.layers.Embedding(100, 8)(tokens)
        >>> head = LinearCrossEntropy(100)
        >>> training = keras.Model([tokens, labels], head(x, labels))
        >>> training.compile("adam")
        >>> text = np.arange(24).reshape(4, 6)
        >>> history = training.fit([text[:, :-1], text[:, 1:]], verbose=0)
        >>> keras.Model(tokens, head(x)).predict(text[:, :-1], verbose=0).shape
        (4, 5, 100)
    """

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        soft_cap: float | None = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Keras would round sample weights to the compute dtype; call() casts what is to be cast
        super().__init__(autocast=False, **kwargs)
        check_count("units", units)
        check_options(ignore_index, label_smoothing, z_loss, soft_cap, chunk_size)
        self.units = units
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.soft_cap = soft_cap
        self.chunk_size = chunk_size
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not input_shape or input_shape[-1] is None:
            raise InputError(f"x: got shape {tuple(input_shape)}; accepted: (…, I) with a known I.")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,  # to the compute dtype: the loss takes the kernel as it is
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                autocast=False,
            )

    def call(self, x: Any, labels: Any = None, sample_weight: Any = None, x_mask: Any = None) -> Any:
        if labels is None:
            if sample_weight is not None:
                raise InputError("sample_weight: got one without labels; accepted: together with labels.")
            return self.logits(x)
        loss = linear_cross_entropy(
            tf.cast(x, self.compute_dtype),
            self.kernel,
            labels,
            bias=self.bias,
            sample_weight=sample_weight,
            mask=None if x_mask is None else hand_written.kept_by(x_mask),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            soft_cap=self.soft_cap,
            chunk_size=self.chunk_size,
        )
        self.add_loss(loss)
        return loss

    def logits(self, x: Any) -> Any:
        """The logits, (…, O), in the compute dtype: for inference."""
        if not self.built:
            self.build(x.shape)
        z = keras.ops.matmul(keras.ops.cast(x, self.compute_dtype), keras.ops.cast(self.kernel, self.compute_dtype))
        if self.bias is not None:
            z = z + keras.ops.cast(self.bias, self.compute_dtype)
        return z if self.soft_cap is None else self.soft_cap * keras.ops.tanh(z / self.soft_cap)

    def compute_output_spec(self, x: Any, labels: Any = None, sample_weight: Any = None, x_mask: Any = None) -> Any:
        if labels is None:
            return keras.KerasTensor((*x.shape[:-1], self.units), dtype=self.compute_dtype)
        return keras.KerasTensor((), dtype="float64" if self.compute_dtype == "float64" else "float32")

    def compute_mask(self, x: Any, previous_mask: Any = None) -> None:
        """None: the mask ends here, because the loss is a scalar."""

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("kernel", "bias"):
            for kind, module in (
                ("initializer", keras.initializers),
                ("regularizer", keras.regularizers),
                ("constraint", keras.constraints),
            ):
                config[f"{name}_{kind}"] = module.serialize(getattr(self, f"{name}_{kind}"))
        names = ("units", "use_bias", "ignore_index", "label_smoothing", "z_loss", "soft_cap", "chunk_size")
        return {**config, **{name: getattr(self, name) for name in names}}
