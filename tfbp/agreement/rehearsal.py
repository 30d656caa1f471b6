"""What can be proven of a GPU run on a machine that has none.

Every operation of every traced program has a GPU kernel for its dtype, what runs eagerly too, and every program that
XLA compiles lowers for a GPU; where it takes variables, which TensorFlow cannot lower without the device, each of its
operations has a kernel that XLA compiles for one. Not proven: what the kernels compute, and how fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from rich.table import Table

from tfbp.agreement import kernels
from tfbp.agreement.kernels import Operation
from tfbp.checks import InputError


@dataclass(frozen=True)
class Program:
    """A function with the tensors it is called with. One that reads variables is compiled as it is, or not at all."""

    part: str
    name: str
    dtype: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    compiled: bool = False

    @property
    def id(self) -> str:
        return f"{self.name}-{self.dtype}"


@dataclass(frozen=True)
class Finding:
    """What one program was found to consist of in one mode.

    Attributes:
        operations: all of them. missing: those without a kernel. reason: why the program does not lower, or empty.
    """

    program: Program
    mode: str
    operations: frozenset[Operation]
    missing: tuple[Operation, ...]
    reason: str = ""

    @property
    def complaint(self) -> str:
        """One line that names the operation, its dtype and where it is; empty where all is well."""
        where = f"{self.program.part}: {self.program.id}-{self.mode}"
        if self.missing:
            return f"{where}: no GPU kernel for {', '.join(map(str, self.missing))}"
        return f"{where}: does not lower for a GPU: {self.reason}" if self.reason else ""


def rehearse(programs: list[Program], modes: tuple[str, ...]) -> Iterator[Finding]:
    """A finding for each program and mode: "eager", "graph" and "xla".

    Example:
        >>> x = tf.ones([2], tf.bfloat16)
        >>> planted = Program("layers", "softplus", "bfloat16", tf.raw_ops.Softplus, (x,))
        >>> [finding.complaint for finding in rehearse([planted], ("graph",))]
        ['layers: softplus-bfloat16-graph: no GPU kernel for Softplus (T bfloat16)']
    """
    for each in programs:
        if "eager" in modes and not each.compiled:
            with kernels.run_eagerly() as run:
                each.function(*each.arguments)
            yield _finding(each, "eager", run, "GPU")
        if "graph" in modes or "xla" in modes:
            # lambda, for tf.function takes no operation as it is
            traced: Any = (
                each.function if each.compiled else tf.function(lambda *a, f=each.function: f(*a), autograph=False)
            )
            operations = kernels.in_graph(traced.get_concrete_function(*each.arguments).graph)
            if "graph" in modes:
                yield _finding(each, "graph", operations, "GPU")
            if "xla" in modes:
                reason = "" if each.compiled else _why_not_lowered(each)
                yield _finding(each, "xla", operations, "XLA_GPU_JIT", reason)


def _finding(each: Program, mode: str, operations: set[Operation], device: str, reason: str = "") -> Finding:
    return Finding(each, mode, frozenset(operations), tuple(kernels.without_kernel(operations, device)), reason)


def _why_not_lowered(each: Program) -> str:
    compiled = tf.function(lambda *a: each.function(*a), jit_compile=True, autograph=False)
    try:
        lowered = compiled.experimental_get_compiler_ir(*each.arguments)(stage="hlo", platform_name="GPU")
    except (ValueError, TypeError, tf.errors.OpError) as error:
        return str(error).splitlines()[0]
    return "" if "ENTRY" in lowered else "it lowers to nothing"


def table(findings: list[Finding]) -> Table:
    """What was proven, by part and mode."""
    found = Table(box=None, pad_edge=False)
    for heading in ("part", "mode", "programs", "operations", "of them on the host", "without a kernel", "not lowered"):
        found.add_column(heading, justify="left" if heading in ("part", "mode") else "right")
    for part, mode in dict.fromkeys((finding.program.part, finding.mode) for finding in findings):
        these = [finding for finding in findings if (finding.program.part, finding.mode) == (part, mode)]
        operations = set().union(*(finding.operations for finding in these))
        host = "" if mode == "xla" else str(len(kernels.on_the_host(operations)))
        missing = {operation for finding in these for operation in finding.missing}
        lowered = [finding for finding in these if not finding.program.compiled]
        refused = f"{sum(bool(f.reason) for f in lowered)} of {len(lowered)}" if mode == "xla" and lowered else ""
        found.add_row(part, mode, str(len(these)), str(len(operations)), host, str(len(missing)), refused)
    return found


def check_target(target: str) -> None:
    """Raise `InputError` unless there is a rehearsal for the device."""
    if target != "gpu":
        raise InputError(f"rehearse: got {target!r}; accepted: gpu.")
