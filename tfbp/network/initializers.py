"""Reads the initializer of a weight: a Keras initializer by its name or its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfbp.errors import InputError

Initializer = str | Mapping[str, Any]


def initializer_config(argument: str, value: Any) -> Initializer:
    """Returns the name or the config `{"class_name": …, "config": {…}}` of a Keras initializer.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, str):
        return value
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, Mapping) and "class_name" in value:
        return {"class_name": value["class_name"], "config": dict(value.get("config", {}))}
    raise InputError(f"{argument}: got {value!r}; accepted: a Keras initializer, its name or its config.")
