"""Keras's layers and losses that the checker is tried on, with the arguments and inputs that each takes."""

from __future__ import annotations

from typing import Any

import numpy as np

# by the inputs that they take
OF_VECTORS = (
    "Dense EinsumDense PReLU LayerNormalization BatchNormalization RMSNormalization UnitNormalization Softmax ELU "
    "LeakyReLU ReLU Rescaling Normalization RepeatVector Reshape Flatten Identity ActivityRegularization Dropout "
    "GaussianNoise GaussianDropout AlphaDropout SpectralNormalization Lambda"
)
OF_SEQUENCES = (
    "Conv1D Conv1DTranspose DepthwiseConv1D SeparableConv1D SimpleRNN LSTM GRU Bidirectional TimeDistributed "
    "AveragePooling1D MaxPooling1D GlobalAveragePooling1D GlobalMaxPooling1D AdaptiveAveragePooling1D "
    "AdaptiveMaxPooling1D UpSampling1D ZeroPadding1D Cropping1D Permute SpatialDropout1D Masking"
)
OF_IMAGES = (
    "GroupNormalization Conv2D Conv2DTranspose SeparableConv2D DepthwiseConv2D ConvLSTM1D AveragePooling2D "
    "MaxPooling2D GlobalAveragePooling2D GlobalMaxPooling2D AdaptiveAveragePooling2D AdaptiveMaxPooling2D "
    "UpSampling2D ZeroPadding2D Cropping2D SpatialDropout2D Resizing CenterCrop"
)
OF_VOLUMES = (
    "Conv3D Conv3DTranspose ConvLSTM2D AveragePooling3D MaxPooling3D GlobalAveragePooling3D GlobalMaxPooling3D "
    "UpSampling3D ZeroPadding3D Cropping3D"
)
OF_PAIRS = "Add Subtract Multiply Average Maximum Minimum Concatenate Dot"
OF_QUERIES = "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention"
OF_TOKENS = "Embedding ReversibleEmbedding"
LAYERS = " ".join((OF_VECTORS, OF_SEQUENCES, OF_IMAGES, OF_VOLUMES, OF_PAIRS, OF_QUERIES, OF_TOKENS))
OF_SHARES = (
    "MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError Huber LogCosh "
    "CosineSimilarity KLDivergence BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy "
    "CategoricalFocalCrossentropy CategoricalHinge Poisson Hinge SquaredHinge Dice "
    "Tversky"
)
OF_LABELS = "SparseCategoricalCrossentropy CategoricalGeneralizedCrossEntropy Circle CTC"
LOSSES = f"{OF_SHARES} {OF_LABELS}"


def layers(rng: np.random.Generator) -> dict[str, tuple[Any, list[Any]]]:
    import keras

    arguments_by_name: dict[str, dict[str, Any]] = {
        **{name: {"units": 3} for name in ("Dense", "SimpleRNN", "LSTM", "GRU")},
        "EinsumDense": {"equation": "bi,io->bo", "output_shape": 3},
        "Rescaling": {"scale": 1.7, "offset": -0.3},
        "Normalization": {"mean": [0.1, -0.2, 0.3, 0.4], "variance": [0.5, 2.0, 1.5, 0.7]},
        "RepeatVector": {"n": 3},
        "Reshape": {"target_shape": (2, 2)},
        "ActivityRegularization": {"l2": 0.1},
        "GaussianNoise": {"stddev": 0.3},
        "SpectralNormalization": {"layer": keras.layers.Dense(3)},
        "Lambda": {"function": keras.ops.sin},
        "Bidirectional": {"layer": keras.layers.LSTM(3)},
        "TimeDistributed": {"layer": keras.layers.Dense(3)},
        "Permute": {"dims": (2, 1)},
        "GroupNormalization": {"groups": 3},
        "Resizing": {"height": 4, "width": 9},
        "CenterCrop": {"height": 4, "width": 3},
        "Dot": {"axes": 1},
        "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
        "GroupQueryAttention": {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        "Embedding": {"input_dim": 5, "output_dim": 3},
        "ReversibleEmbedding": {"input_dim": 5, "output_dim": 3},
    }
    for name in LAYERS.split():
        if "Conv" in name:
            arguments_by_name[name] = ({} if "Depthwise" in name else {"filters": 2}) | {"kernel_size": 2}
        elif "Dropout" in name:
            arguments_by_name[name] = {"rate": 0.4}
        elif name.startswith(("AveragePooling", "MaxPooling")):
            arguments_by_name[name] = {"pool_size": 2}
        elif "Adaptive" in name:
            arguments_by_name[name] = {"output_size": 3}
    subjects: dict[str, tuple[Any, list[Any]]] = {}
    singles = {
        OF_VECTORS: rng.normal(size=(6, 4)),
        OF_SEQUENCES: rng.normal(size=(2, 5, 3)),
        OF_IMAGES: rng.normal(size=(2, 6, 6, 3)),
        OF_VOLUMES: rng.normal(size=(1, 4, 4, 5, 2)),
        OF_TOKENS: np.array([[0, 3, 3], [4, 1, 3]]),
    }
    for names, at in singles.items():
        for name in names.split():
            layer = getattr(keras.layers, name)(**arguments_by_name.get(name, {}))
            layer.build(at.shape)
            subjects[name] = layer, [at]
    left, right = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    for name in OF_PAIRS.split():
        layer = getattr(keras.layers, name)(**arguments_by_name.get(name, {}))
        layer.build([left.shape, right.shape])
        subjects[name] = layer, [[left, right]]
    query, value = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 5, 3))
    for name in OF_QUERIES.split():
        layer, together = (
            getattr(keras.layers, name)(**arguments_by_name.get(name, {})),
            name in ("Attention", "AdditiveAttention"),
        )
        layer.build([query.shape, value.shape]) if together else layer.build(query.shape, value.shape)
        subjects[name] = layer, [[query, value]] if together else [query, value]
    return subjects


def losses(rng: np.random.Generator) -> dict[str, tuple[Any, list[Any]]]:
    import keras

    target, shares = rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4), 6)
    labels = np.array([0, 3, 1, 2, 2, 1])
    subjects: dict[str, tuple[Any, list[Any]]] = {
        name: (getattr(keras.losses, name)(), [target, shares]) for name in OF_SHARES.split()
    }
    for name in ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"):
        subjects[name] = getattr(keras.losses, name)(), [labels, shares]
    subjects["Circle"] = keras.losses.Circle(), [labels, rng.normal(size=(6, 4))]
    subjects["CTC"] = keras.losses.CTC(), [np.array([[1, 2], [2, 2]]), rng.normal(size=(2, 6, 4))]
    return subjects
