"""Remembers whether `compile` had jit_compile=False or "auto".

Keras stores only the result of "auto", which without an accelerator is False, too. So its compile is wrapped as soon as
Keras is imported; this module does not import it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

TRAINER = "keras.src.trainers.trainer"


def remember() -> None:
    """Makes models remember the jit_compile of their compile, from now on, or from Keras's import on."""
    if TRAINER in sys.modules:
        _wrap(sys.modules[TRAINER])
    else:
        sys.meta_path.insert(0, _UntilKeras())


def told(model: Any) -> Any:
    """Returns the jit_compile of a model's compile; "auto" for a compile before this module's import."""
    return vars(model).get("_tfbp_jit_compile", "auto")


class _UntilKeras(MetaPathFinder):
    """An import hook that waits for Keras's trainer, and then removes itself."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != TRAINER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then_wrap(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _then_wrap(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def exec_module(module: ModuleType) -> None:
        execute(module)
        _wrap(module)

    return exec_module


def _wrap(trainer: Any) -> None:
    trainer.Trainer.compile = _remembering(trainer.Trainer.compile)
    trainer.Trainer.load_own_variables = _looking_for_a_ledger(trainer.Trainer)


def _looking_for_a_ledger(trainer: Any) -> Any:
    """Makes a loaded model restore its private training's account, which it would forget."""

    def load_own_variables(self: Any, store: Any) -> None:
        if getattr(store, "_h5_entry_path", None) == "" and store.has_path("tfbp_privacy"):
            # the import waits until then, because it needs TensorFlow
            importlib.import_module("tfbp.privacy.ledger").ledger_of(self)
        super(trainer, self).load_own_variables(store)

    return load_own_variables


def _remembering(compile_model: Any) -> Any:
    signature = inspect.signature(compile_model)

    @functools.wraps(compile_model)
    def compile(self: Any, *arguments: Any, **options: Any) -> None:
        compile_model(self, *arguments, **options)
        self._tfbp_jit_compile = signature.bind(self, *arguments, **options).arguments.get("jit_compile", "auto")

    return compile
