"""Times one fit in its own process, from the call to its end, tracing and compiling included; or many small fits.

usage: python -m benchmarks.short_fit MODEL WAY EPOCHS ROWS MODELS
"""

import json
import resource
import sys
import time

import keras

import tfbp
from benchmarks.fit_data import BATCH, data
from benchmarks.fit_race import compiled

# the trainer, and the jit_compile of compile
WAYS = {
    "tfbp.fit": (tfbp.fit, {}),
    "Keras": (keras.Model.fit, {}),
    "Keras, XLA": (keras.Model.fit, {"jit_compile": True}),
}
VALIDATION_ROWS = 400


def measure(name: str, way: str, epochs: int, rows: int, models: int) -> dict[str, float]:
    """Returns the seconds of some fits of new models one after the other, by both clocks, and the peak in MiB."""
    fit, options = WAYS[way]
    x, y = data(name, rows + VALIDATION_ROWS)
    # a model with a train_step of its own has no test_step
    validation = None if y is None else (x[rows:], y[rows:])
    x, y = x[:rows], None if y is None else y[:rows]
    seconds = processor = 0.0
    for number in range(models):
        # a seed makes TensorFlow forget the programs that it has ready
        model = compiled(name, seed=None if number else 0, **options)
        started = time.perf_counter(), time.process_time()
        history = fit(model, x, y, batch_size=BATCH, epochs=epochs, validation_data=validation, verbose=0)
        seconds += time.perf_counter() - started[0]
        processor += time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": seconds, "processor": processor, "MiB": peak, "jit_compile": history.params.get("jit_compile")}


if __name__ == "__main__":
    name, way, *numbers = sys.argv[1:]
    print(json.dumps(measure(name, way, *map(int, numbers))))
