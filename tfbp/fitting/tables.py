"""The programs of a model as it is compiled now: looked up by the structure of the data, and dropped where Keras drops
its own functions."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from tfbp.fitting.facts import Facts
from tfbp.fitting.programs import Programs
from tfbp.fitting.steps import keep


def of(model: Any, data: Any, name: str = "train") -> Programs:
    """The programs of a model as it is compiled now, for data of this structure, of which one with a step is needed."""
    return table_of(model, name).of(model, structure_of(data))


def structure_of(data: Any) -> Structure:
    """That of packed data."""
    value = keras.tree.map_structure(lambda leaf: None if leaf is None else True, data)
    return Structure(repr(value), value)


def table_of(model: Any, name: str = "train") -> Table:
    """All programs of a model as it is compiled now, of which one with a step of a name is needed."""
    table = getattr(model, "_tfbp_programs", None)
    if table is None or not table.holds(model):
        table = model._tfbp_programs = Table(model)
    table.follow(model, name)
    return table


def note(model: Any, name: str) -> None:
    """Remember what a step of a name was traced with, until it is run."""
    table = table_of(model, name)
    if name not in table.traced_with:
        table.traced_with[name] = Facts(model)


def is_stale(model: Any, name: str) -> bool:
    """Whether a step that was not yet run would be traced otherwise now than it was; if so, what was traced is
    dropped."""
    table = table_of(model, name)
    traced_with = table.traced_with.get(name)
    if traced_with is None or traced_with == Facts(model):
        return False
    table.forget(name)
    return True


def will_run(model: Any, name: str) -> None:
    """Remember that a step was run: as in Keras, from there on its trace stays what it is."""
    table_of(model, name).traced_with[name] = None


class Structure(NamedTuple):
    """Packed data with True in place of every tensor, and as a text, which is made once."""

    text: str
    value: Any


class Table:
    """The programs of one compile, by the structure of the data; a model keeps it until it is compiled again, or Keras
    drops one of its functions or makes it again: `quantize` and make_train_function(force=True) do so.

    Attributes:
        streams: those of datasets, by what their elements are.
        traced_with: what a model's steps were traced with that were not yet run, by their names.
    """

    def __init__(self, model: Any) -> None:
        self._compiled = getattr(model, "_compile_config", None)
        self._functions: dict[str, Any] = {}
        self.streams: dict[str, dict[Any, Any]] = {}
        self._programs: dict[str, Programs] = {}
        self.traced_with: dict[str, Facts | None] = {}

    def holds(self, model: Any) -> bool:
        """Whether the model is still compiled as it was, and Keras's functions are those that it had."""
        if self._compiled is not getattr(model, "_compile_config", None):
            return False
        return all(getattr(model, function) is known for function, known in self._functions.items())

    def follow(self, model: Any, name: str) -> None:
        """Have Keras make its function of this name, as its own loop does, and see from here on whether it is
        another."""
        function = f"{name}_function"
        if function not in self._functions:
            getattr(model, f"make_{function}")()
            self._functions[function] = getattr(model, function)

    def stream(self, spec: str) -> dict[Any, Any]:
        """The programs of datasets whose elements are described so."""
        if spec not in self.streams:
            keep(self.streams, spec, {})
        return self.streams[spec]

    def of(self, model: Any, structure: Structure) -> Programs:
        known = self._programs.get(structure.text)
        if known is None:
            known = self._programs[structure.text] = Programs(model, structure.value)
        return known

    def forget(self, name: str) -> None:
        """Drop what was traced with a step of a name."""
        del self.traced_with[name]
        for known in self.streams.values():
            for key in [key for key in known if name in (key, key[0])]:
                del known[key]
        for programs in self._programs.values():
            programs.forget(name)

    @property
    def traces(self) -> int:
        """How many programs and steps were traced."""
        return sum(program.traces for program in self._programs.values())
