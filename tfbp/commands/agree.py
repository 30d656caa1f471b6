"""Shows whether the three writings, and everything built on them, agree, for networks, dtypes, modes and devices.

Every tensor is compared to a tolerance that follows from its dtype and reduction length. With --model and --data, your
own Keras model is compared with the reference. The exit status is 0 when all agree, 1 when anything disagrees, 2 for
bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tfbp.commands.agree_model import agree_model
from tfbp.console.cells import ProcessGone, mapping, processes_for
from tfbp.console.options import Parser, check_file, choices, need, part_of, run, run_file
from tfbp.errors import InputError, check_choice, check_count

if TYPE_CHECKING:
    from rich.console import Console

    from tfbp.agreement.problems import Case

DTYPES = ("float64", "float32", "bfloat16", "float16")
MODES = ("eager", "graph", "xla")
# a process holds only so many compiled programs: then a new one takes over
CELLS_OF_A_PROCESS = 300
IN_16_BITS = (
    "In 16 bits a result's own rounding is nearly all of its tolerance: among many elements the worst comes to 1.00."
)


def parser() -> Parser:
    parser = Parser(__doc__, names={"dtypes": "--dtype", "modes": "--mode"}, prog="tfbp agree")
    parser.add_argument("--device", default="cpu", help="cpu or gpu (default: cpu)")
    parser.add_argument("--dtype", default=",".join(DTYPES), help="comma-separated (default: all four)")
    parser.add_argument("--mode", default=",".join(MODES), help="comma-separated (default: eager,graph,xla)")
    parser.add_argument("--tf32", default="off,on", help="TF32 in float32 on a GPU (default: off,on)")
    parser.add_argument("--case", default="", help="only the cases with this in their name")
    parser.add_argument("--layers", metavar="FILE", help="a Python file that registers layers, with their cases")
    parser.add_argument("--deterministic", action="store_true", help="with TensorFlow's op determinism")
    parser.add_argument("--processes", type=int, help="the number of processes (default: up to 4)")
    parser.add_argument("--rehearse", metavar="gpu", help="check the programs of a GPU run, without a GPU")
    parser.add_argument("--json", metavar="FILE", help="write every number to FILE")
    own = parser.add_argument_group("your own model")
    own.add_argument("--model", metavar="FILE", help="a .keras file: check this model, layer by layer")
    own.add_argument("--data", metavar="FILE", help="an .npz file with a batch: x (or x0, x1, …) and y (or y0, …)")
    own.add_argument("--loss", help="a Keras loss by name (default: the loss in the model's compile)")
    own.add_argument("--html", metavar="FILE", help="write a page with the drawn graph to FILE")
    own.add_argument("--compare", metavar="FILE", help="list the differences from this file of --json")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), agree, given)


def agree(arguments: argparse.Namespace) -> int:
    need("rich")
    check_choice("device", arguments.device, ("cpu", "gpu"))
    dtypes = choices("dtype", arguments.dtype, DTYPES)
    modes = choices("mode", arguments.mode, MODES)
    if arguments.model is not None:
        return agree_model(arguments, dtypes, modes)
    for name in ("data", "loss", "html", "compare"):
        if getattr(arguments, name) is not None:
            raise InputError(f"{name}: got {getattr(arguments, name)!r} without --model; accepted: both.")
    if arguments.rehearse is not None:
        check_choice("rehearse", arguments.rehearse, ("gpu",))
        if arguments.json is not None:
            raise InputError(f"json: got {arguments.json!r} beside --rehearse; accepted: a check, which has numbers.")
    if arguments.processes is not None:
        check_count("processes", arguments.processes)
    tf32 = [word == "on" for word in choices("tf32", arguments.tf32, ("off", "on"))]
    check_file("json", arguments.json)
    if arguments.layers is not None:
        run_file("layers", arguments.layers)
    from tfbp.agreement.cases import all_cases

    chosen = part_of("case", arguments.case, [case.name for case in all_cases()])
    cases = [case for case in all_cases() if case.name in chosen]

    # the import of TensorFlow takes seconds: only now
    from rich.console import Console
    from rich.progress import track

    import tfbp.console.quiet_tensorflow  # before anything else that imports it
    from tfbp.agreement import matrix, report, third_opinion
    from tfbp.agreement.suites import all as beside
    from tfbp.judging.placement import check_device, strictly_on

    check_device(arguments.device)
    if arguments.deterministic:
        tfbp.console.quiet_tensorflow.tensorflow.config.experimental.enable_op_determinism()
    console = Console()
    if arguments.rehearse:
        return _rehearse(cases, dtypes, modes, console, every_part=not arguments.case)
    cells = matrix.cells(cases, dtypes, modes, arguments.device, tf32)
    places = list(dict.fromkeys((cell.dtype, cell.mode, cell.device, cell.tf32) for cell in cells))
    bar = partial(track, console=console, transient=True)
    results, beside_them, gone = [], [], []
    processes = arguments.processes or processes_for(len(cells), arguments.device)
    try:
        with mapping(processes, arguments.deterministic, CELLS_OF_A_PROCESS) as map_over:
            what = f"{len(cases)} networks in {len(cells)} cells"
            for results_of_one in bar(
                map_over(partial(matrix.run_cell, remember=("reference",)), cells), what, total=len(cells)
            ):
                results += results_of_one
            all_parts = partial(beside.at, part_of=arguments.case)
            for results_of_one in bar(map_over(all_parts, places), "and beside them", total=len(places)):
                beside_them += results_of_one
    except ProcessGone as error:  # what was found before still counts
        gone = [f"{error} --processes 1 says more."]
    if arguments.json:
        report.write_json(arguments.json, results + beside_them)
    console.print(report.table(results))
    print(report.LEGEND)
    if {"bfloat16", "float16"} & set(dtypes):
        print(IN_16_BITS)
    if beside_them:
        console.print(report.table_beside(beside_them))
    with strictly_on(arguments.device):
        opinions = [opinion for op in third_opinion.ops() for opinion in third_opinion.opinions(op)]
    complaints = report.complaints(results, beside_them, opinions) + gone
    print(report.summary(results, beside_them, opinions))
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0


def _rehearse(cases: list[Case], dtypes: list[str], modes: list[str], console: Console, every_part: bool) -> int:
    import tensorflow as tf
    from rich.progress import track

    from tfbp.rehearsal import findings as rehearsal
    from tfbp.rehearsal import programs as gpu_programs

    parts = gpu_programs.PARTS if every_part else ("writings",)
    findings: list[rehearsal.KernelGap] = []
    with tf.device("/CPU:0"):
        for dtype in track(dtypes, "what a run on a GPU consists of", console=console, transient=True):
            for program in gpu_programs.programs(cases, dtype, parts):
                findings += rehearsal.rehearse(program, modes)
    console.print(rehearsal.table(findings))
    complaints = [finding.complaint for finding in findings if finding.complaint]
    console.print(rehearsal.by_hand(findings), highlight=False, markup=False)
    print(rehearsal.summary(findings))
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if complaints else 0
