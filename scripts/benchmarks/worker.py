"""The process of one contestant on one problem: answers requests, one JSON line each, on stdin and stdout.

    worker.py MODULE OPTIONS PROBLEM DEVICE     started by processes.py

start    builds the contestant and trains an unshuffled epoch, which is timed: most of it is compilation; saves the
         weights to the file that the request names
follow   a fresh contestant's loss at each of the first steps
train    some shuffled epochs, timed
"""

import importlib
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.contestants import Unavailable
from benchmarks.problem import Task


def main() -> None:
    where, options, path, device = sys.argv[1:]
    module_name, _, class_name = where.partition(":")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    contestant = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "start":
                if "tfbp" in module_name or "keras" in module_name:
                    from tfbp.console.quiet_tensorflow import tensorflow

                    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
                kind, problem = getattr(importlib.import_module(module_name), class_name), Task.load(path)
                problem.device = device
                contestant, answer = start(kind, json.loads(options), problem, request)
            elif request["do"] == "follow":
                answer = {"losses": kind(problem, **json.loads(options)).follow(request["steps"])}
            else:
                answer = train(contestant, request["epochs"], shuffle=True)
        except (ImportError, Unavailable) as error:
            answer = {"unavailable": str(error)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


def start(kind, options, problem, request):
    if problem.device != "cpu" and kind.device == "cpu":
        raise Unavailable("it runs on a CPU alone")
    started = time.perf_counter()
    contestant = kind(problem, **options)
    contestant.train(1, shuffle=False)
    answer = {"seconds": time.perf_counter() - started}
    if contestant.device != problem.device:
        raise RuntimeError(f"it trains on {contestant.device!r}, not on {problem.device!r}")
    if hasattr(contestant, "weights"):
        np.savez(request["weights"], *contestant.weights())
    answer["first_epoch"] = train(contestant, 1, shuffle=True)["seconds"]
    return contestant, {**answer, "peak_bytes": peak_bytes()}


def train(contestant, epochs, shuffle):
    started = time.perf_counter()
    seconds = contestant.train(epochs, shuffle)
    elapsed = time.perf_counter() - started
    return {"seconds": elapsed if seconds is None else seconds, "whole_call": elapsed}


def peak_bytes():
    """Returns the most memory that this process has held; None if the system does not report it."""
    try:  # on Linux getrusage reports the parent's if it was larger before the exec
        return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    except (OSError, TypeError):
        return None


if __name__ == "__main__":
    main()
