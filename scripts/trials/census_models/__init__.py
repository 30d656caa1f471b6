"""Models of other people, by name: a function that makes each, small and with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from census_models import applications, hub

# their module imports Keras, which takes seconds
EXAMPLES = (
    *("image_classification_from_scratch", "pets_unet", "vision_transformer", "deeplab", "image_classification_3d"),
    *("mobile_vit", "captcha_ocr", "autoencoder", "text_classification_from_scratch", "lstm_seq2seq"),
    *("wide_deep_cross", "tab_transformer", "time_series_by_convolution", "time_series_by_transformer"),
    *("speaker_recognition",),
)


def _example(name: str) -> Any:
    return getattr(import_module("census_models.examples"), name)()


FAMILIES: dict[str, dict[str, Callable[[], Any]]] = {
    "keras.applications": applications.MODELS,
    "keras-io": {name: partial(_example, name) for name in EXAMPLES},
    "keras-hub": {f"{name}Backbone": partial(hub.backbone, name) for name in hub.BACKBONES},
    "keras-rs": {
        "FeatureCross": hub.feature_cross,
        "DotInteraction": hub.dot_interaction,
        "EmbedReduce": hub.embed_reduce,
    },
}
# a family's package, where it is not Keras
PACKAGES = {"keras-hub": "keras_hub", "keras-rs": "keras_rs"}
