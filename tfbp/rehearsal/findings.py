"""Checks a GPU run on a machine without a GPU.

Every operation of every traced program, and every eager operation, has a GPU kernel for its dtype. Every program that
XLA compiles lowers for a GPU. TensorFlow cannot lower a program with variables without the device; there each operation
has a kernel that XLA compiles for a GPU. The values and the speed of the kernels are not checked.

Hand-written code stays hand-written: none of its operations is another's gradient, or returns its own gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from rich.table import Table

from tfbp.agreement.programs import MODES, compiled
from tfbp.judging.failures import Failure, attempt
from tfbp.rehearsal import operations as kernels
from tfbp.rehearsal.operations import Operation


@dataclass(frozen=True)
class Rehearsed:
    """A function of its inputs, in its modes; a function with variables cannot be lowered.

    `by_hand` means that its gradients are `tfbp.manual`'s."""

    part: str
    name: str
    dtype: str
    function: Callable[[Any], Any]
    fed: Any
    modes: tuple[str, ...] = MODES
    has_variables: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class KernelGap:
    """The operations of one program in one mode.

    Attributes:
        operations: all of them. missing: those without a kernel. reason: the cause why the program does not lower,
            or its exception; else empty.
    """

    program: Rehearsed
    mode: str
    operations: frozenset[Operation]
    missing: tuple[Operation, ...] = ()
    reason: str = ""

    @property
    def gradient_kernels(self) -> list[Operation]:
        """The gradient kernels that a hand-written program must not call."""
        return kernels.gradient_kernels(set(self.operations)) if self.program.by_hand else []

    @property
    def complaint(self) -> str:
        """One line with the operation, its dtype and its place; empty without a finding."""
        where = f"{self.program.part}: {self.program.name}-{self.program.dtype}-{self.mode}"
        if self.missing:
            return f"{where}: no GPU kernel for {', '.join(map(str, self.missing))}"
        if self.gradient_kernels:
            named = ", ".join(map(str, self.gradient_kernels))
            return f"{where}: written by hand, it calls the gradient kernel {named}"
        return f"{where}: {self.reason}" if self.reason else ""


def rehearse(program: Rehearsed, modes: Any = MODES) -> Iterator[KernelGap]:
    """Yields a finding for each mode, as the matrix runs it: in a graph the number of rows is unknown.

    Example:
        >>> fed = {"x": tf.ones([2, 3], tf.bfloat16)}
        >>> run = lambda fed: tf.raw_ops.Softplus(features=fed["x"])
        >>> planted = Rehearsed("layers", "softplus", "bfloat16", run, fed)
        >>> [finding.complaint for finding in rehearse(planted, ["graph"])]
        ['layers: softplus-bfloat16-graph: no GPU kernel for Softplus (T bfloat16)']
    """
    for mode in program.modes:
        if mode in modes:
            result = attempt(_found, program, mode)
            failed = isinstance(result, Failure)
            yield (KernelGap(program, mode, frozenset(), reason=f"it raises {result.sentence}") if failed else result)


def _found(program: Rehearsed, mode: str) -> KernelGap:
    if mode == "eager":
        with kernels.run_eagerly() as operations:
            program.function(program.fed)
        return _finding(program, mode, operations, "GPU")
    if program.has_variables:
        traced = tf.function(program.function, autograph=False).get_concrete_function(program.fed)
        return _finding(program, mode, kernels.in_graph(traced.graph), "XLA_GPU_JIT" if mode == "xla" else "GPU")
    function: Any = compiled(program.function, mode, program.fed)
    if mode == "graph":
        return _finding(program, mode, kernels.in_graph(function.graph), "GPU")
    operations = kernels.in_graph(function.get_concrete_function(program.fed).graph)
    return _finding(program, mode, operations, "XLA_GPU_JIT", _why_not_lowered(function, program.fed))


def _finding(program: Rehearsed, mode: str, operations: set[Operation], device: str, reason: str = "") -> KernelGap:
    return KernelGap(program, mode, frozenset(operations), tuple(kernels.without_kernel(operations, device)), reason)


def _why_not_lowered(function: Any, fed: Any) -> str:
    try:
        lowered = function.experimental_get_compiler_ir(fed)(stage="hlo", platform_name="GPU")
    except (ValueError, TypeError, tf.errors.OpError) as error:
        return f"it does not lower for a GPU: {str(error).splitlines()[0]}"
    return "" if "ENTRY" in lowered else "it lowers to nothing for a GPU"


def table(findings: list[KernelGap]) -> Table:
    """Returns the results by part and mode."""
    rows_of_table = Table(box=None, pad_edge=False)
    for heading in ("part", "mode", "programs", "ops", "on host", "no kernel", "lowered"):
        rows_of_table.add_column(heading, justify="left" if heading in ("part", "mode") else "right")
    for part, mode in dict.fromkeys((finding.program.part, finding.mode) for finding in findings):
        these = [finding for finding in findings if (finding.program.part, finding.mode) == (part, mode)]
        operations = set().union(*(finding.operations for finding in these))
        host = "" if mode == "xla" else str(len(kernels.on_the_host(operations)))
        missing = {operation for finding in these for operation in finding.missing}
        tried = [finding for finding in these if mode == "xla" and not finding.program.has_variables]
        lowered = f"{sum(not finding.reason for finding in tried)} of {len(tried)}" if tried else ""
        rows_of_table.add_row(part, mode, str(len(these)), str(len(operations)), host, str(len(missing)), lowered)
    return rows_of_table


def by_hand(findings: list[KernelGap]) -> str:
    """Returns the types of all operations of hand-written programs, and whether one is a gradient kernel."""
    of = [finding for finding in findings if finding.program.by_hand]
    names = sorted({operation.name for finding in of for operation in finding.operations})
    wrong = sorted({operation.name for finding in of for operation in finding.gradient_kernels})
    verdict = f"gradient kernels: {', '.join(wrong)}" if wrong else "none is a gradient kernel"
    programs = len({(finding.program.part, finding.program.name, finding.program.dtype) for finding in of})
    return f"Written by hand, {programs} programs of {len(names)} operations: {', '.join(names)}; {verdict}."


def summary(findings: list[KernelGap]) -> str:
    """Returns the verdict, and its limits."""
    of = f"GPU kernels of TensorFlow {tf.__version__}, {len(findings)} programs"
    wrong = sum(bool(finding.complaint) for finding in findings)
    verdict = f"{wrong} would not run there" if wrong else "every operation has one, and what has no variables lowers"
    return f"{of}: {verdict}. Only a GPU shows what they compute, and how fast."
