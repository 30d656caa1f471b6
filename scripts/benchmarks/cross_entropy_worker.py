"""The process of one contestant in the cross-entropy benchmark: answers requests, one JSON line each.

    cross_entropy_worker.py POINT     started by cross_entropy.py; POINT is a JSON object

start    takes the first steps: their peak memory, and their loss and gradients in a few numbers
step     a step, timed
"""

import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

FIRST_STEPS = 2  # steps for the peak: allocators keep the memory that the first step frees


def main() -> None:
    point = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    contestant = None
    for line in sys.stdin:
        try:
            if json.loads(line)["do"] == "start":
                contestant, answer = start(point)
            else:
                answer = {"seconds": timed(contestant)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


def start(point):
    import numpy as np

    step, arguments = build(**point)
    held = reset_peak()
    for _ in range(FIRST_STEPS):
        results = step(*arguments)
        loss = float(results[0])  # waits for the step
    answer = {"extra_bytes": status("VmHWM") - held}
    rng = np.random.default_rng(0)
    # each gradient's size, and its product with random signs, which differ for different gradients
    fingerprint = [loss]
    for gradient in results[1:]:
        flat = gradient.numpy().reshape(-1)
        fingerprint += [float(np.linalg.norm(flat)), float(flat @ rng.choice([-1, 1], flat.size).astype(flat.dtype))]
    return (step, arguments), {**answer, "fingerprint": fingerprint}


def build(contestant, mode, tokens, width, classes):
    """Returns a step, from x, kernel and labels to the loss, dx and dkernel; and its arguments."""
    from tfbp.console.quiet_tensorflow import tensorflow as tf
    from tfbp.losses import linear_cross_entropy
    from tfbp.tape.linear_cross_entropy import linear_cross_entropy as plain

    function = {"manual": linear_cross_entropy, "tape": plain}[contestant]

    def loss_and_gradients(x, kernel, labels):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            loss = function(x, kernel, labels)
        return [loss, *tape.gradient(loss, (x, kernel))]

    step = loss_and_gradients
    if mode != "eager":
        step = tf.function(loss_and_gradients, jit_compile=mode == "xla", autograph=False, reduce_retracing=False)
    small = arguments_of(tf, 16, 8, 24)
    for _ in range(FIRST_STEPS):
        step(*small)  # compilers, thread pools and kernels' code are not what is measured
    return step, arguments_of(tf, tokens, width, classes)


def arguments_of(tf, tokens, width, classes):
    x = tf.random.stateless_normal((tokens, width), seed=(0, 1))
    kernel = tf.random.stateless_normal((width, classes), seed=(0, 2)) / width**0.5
    return x, kernel, tf.random.stateless_uniform((tokens,), (0, 3), 0, classes, tf.int32)


def timed(contestant):
    step, arguments = contestant
    started = time.perf_counter()
    float(step(*arguments)[0])
    return time.perf_counter() - started


def reset_peak():
    """Returns the bytes held now, and resets the peak to them; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(name):
    return int(re.search(name + r":\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


if __name__ == "__main__":
    main()
