#!/usr/bin/env python3
"""Show that the three writings and tfbp.layers agree: a matrix of networks, dtypes, execution modes and devices.

Every tensor is set against a tolerance that follows from its dtype and reduction length. The exit status is 0 when all
agree, 1 when anything disagrees, 2 for bad input.
"""

import argparse
import sys

from rich.console import Console
from rich.progress import track

from quiet_tensorflow import tensorflow as tf
from tfbp import InputError
from tfbp.agreement import gpu_programs, layers, matrix, rehearsal, report, third_opinion
from tfbp.agreement.cases import DTYPES, Case, all_cases
from tfbp.checks import check_choice


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or gpu (default: cpu)")
    parser.add_argument("--dtype", default=",".join(DTYPES), help="comma-separated (default: all four)")
    parser.add_argument("--mode", default=",".join(matrix.MODES), help="comma-separated (default: eager,graph,xla)")
    parser.add_argument("--tf32", default="off,on", help="on the GPU, in float32 (default: off,on)")
    parser.add_argument("--case", default="", help="only the cases whose name contains this")
    parser.add_argument("--rehearse", metavar="gpu", help="prove without a GPU what can be proven of a run on one")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    arguments = parser.parse_args()
    try:
        return check(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def check(arguments: argparse.Namespace) -> int:
    if arguments.rehearse is not None:
        rehearsal.check_target(arguments.rehearse)
    check_choice("device", arguments.device, ("cpu", "gpu"))
    matrix.check_device(arguments.device)
    dtypes = _choices("dtype", arguments.dtype, DTYPES)
    modes = _choices("mode", arguments.mode, matrix.MODES)
    tf32 = [word == "on" for word in _choices("tf32", arguments.tf32, ("off", "on"))]
    cases = [case for case in all_cases() if arguments.case in case.name]
    if not cases:
        names = ", ".join(case.name for case in all_cases())
        raise InputError(f"case: got {arguments.case!r}, which no case's name contains; accepted: part of {names}.")

    console = Console()
    if arguments.rehearse:
        return rehearse(cases, dtypes, tuple(modes), console)
    by_cell = {}
    cells = matrix.cells(cases, dtypes, modes, arguments.device, tf32)
    for cell in track(cells, f"{len(cases)} networks in {len(cells)} cells", console=console, transient=True):
        by_cell[cell] = matrix.run_cell(cell)
    layer_cases = [case for case in layers.layer_cases() if arguments.case in case.name]
    programs = {(cell.dtype, cell.mode, cell.device, cell.tf32) for cell in cells} if layer_cases else set()
    of_layers = []
    for program in track(sorted(programs), "tfbp.layers", console=console, transient=True):
        of_layers += layers.run_layers(layer_cases, *program)
    results = [result for found in by_cell.values() for result in found]
    if arguments.json:
        report.write_json(arguments.json, results + of_layers)
    console.print(report.table(results))
    print(report.LEGEND)
    if of_layers:
        console.print(report.layer_table(of_layers))
    opinions = [opinion for op in third_opinion.ops() for opinion in third_opinion.opinions(op)]
    complaints = report.complaints(by_cell, opinions, of_layers)
    print(report.summary(by_cell, opinions))
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


def rehearse(cases: list[Case], dtypes: list[str], modes: tuple[str, ...], console: Console) -> int:
    with tf.device("/CPU:0"):
        programs = gpu_programs.programs(cases, dtypes)
        of_all = track(programs, f"{len(programs)} programs", console=console, transient=True)
        findings = [finding for each in of_all for finding in rehearsal.rehearse([each], modes)]
    console.print(rehearsal.table(findings))
    complaints = [finding.complaint for finding in findings if finding.complaint]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    verdict = "missing" if complaints else "there, for every operation, and every program without variables lowers"
    print(f"GPU kernels, by TensorFlow {tf.__version__}'s own list: {verdict}. Values and speed need a GPU.")
    return 1 if complaints else 0


def _choices(argument: str, given: str, accepted: tuple[str, ...]) -> list[str]:
    words = given.split(",")
    for word in words:
        check_choice(argument, word, accepted)
    return words


if __name__ == "__main__":
    sys.exit(main())
