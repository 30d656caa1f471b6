"""Backbones of keras-hub 0.32 and layers of keras-rs 0.4, of tiny sizes, with inputs of known shape."""

from __future__ import annotations

from typing import Any

STEPS, IMAGE = 6, (32, 32, 3)
_WORDS = {"vocabulary_size": 20, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
_HEADS = {**_WORDS, "num_heads": 2}
_GROUPS = {**_WORDS, "num_query_heads": 2, "num_key_value_heads": 1}
_LENGTH = {"max_sequence_length": STEPS}
_EFFICIENT = {
    **{f"stackwise_{name}": [1.0, 1.0] for name in ("width_coefficients", "depth_coefficients")},
    **{"stackwise_squeeze_and_excite_ratios": [0.25, 0.25], "stackwise_expansion_ratios": [1, 4]},
    **{"stackwise_kernel_sizes": [3, 3], "stackwise_num_repeats": [1, 1], "stackwise_strides": [1, 2]},
    **{f"stackwise_{name}_filters": [8, 8] for name in ("input", "output")},
    **{"stackwise_block_types": ["v1", "v1"], "image_shape": IMAGE},
}
_PYRAMID = {
    **{"layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2], "layerwise_sr_ratios": [2, 1]},
    **{"layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2], "hidden_dims": [8, 16]},
    **{"max_drop_path_rate": 0.1, "image_shape": IMAGE},
}
_BLOCKS = {
    **{"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "stackwise_num_filters": [64, 64]},
    **{"stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2]},
    **{"block_type": "basic_block", "image_shape": IMAGE},
}
_LISTENING = {**_HEADS, "max_encoder_sequence_length": 12, "max_decoder_sequence_length": STEPS}
_PATCHES = {
    **{"image_shape": (16, 16, 3), "patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16},
}
BACKBONES: dict[str, dict[str, Any]] = {
    **{name: {**_HEADS, **_LENGTH} for name in ("Bert", "GPT2", "DistilBert", "DebertaV3")},
    **{"Llama3": _GROUPS, "Gemma": {**_GROUPS, "head_dim": 4}, "T5": _HEADS, "Whisper": _LISTENING},
    **{"FNet": {**_WORDS, **_LENGTH}, "ResNet": _BLOCKS, "ViT": _PATCHES, "EfficientNet": _EFFICIENT, "MiT": _PYRAMID},
    "DenseNet": {"stackwise_num_repeats": [1, 2], "growth_rate": 4, "image_shape": IMAGE},
}


def backbone(name: str) -> Any:
    """The backbone, called on inputs whose shape is known: its own sequences have any length."""
    import keras
    import keras_hub

    made = getattr(keras_hub.models, f"{name}Backbone")(**BACKBONES[name])
    given = keras.tree.map_structure(
        lambda tensor: keras.Input([size or STEPS for size in tensor.shape[1:]], dtype=tensor.dtype), made.input
    )
    return keras.Model(keras.tree.flatten(given), keras.tree.flatten(made(given)))


def feature_cross() -> Any:
    import keras
    import keras_rs

    x = keras.Input((6,))
    y = keras_rs.layers.FeatureCross()(x, x)
    return keras.Model(x, keras_rs.layers.FeatureCross(3)(x, y))


def dot_interaction() -> Any:
    import keras
    import keras_rs

    features = [keras.Input((4,)) for _ in range(3)]
    # the gradients of these weights go through it, which has none
    made = [keras.layers.Dense(4)(feature) for feature in features]
    return keras.Model(features, keras_rs.layers.DotInteraction()(made))


def embed_reduce() -> Any:
    import keras
    import keras_rs

    tokens = keras.Input((4,), dtype="int32")
    return keras.Model(tokens, keras_rs.layers.EmbedReduce(10, 4)(tokens))
