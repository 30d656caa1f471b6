"""Shared by the tests of the layers of images: runs of manual and tape in a dtype and a mode, and tolerances."""

import numpy as np
import tensorflow as tf

from tfbp.agreement.problems import numpy_dtype
from tfbp.agreement.tolerances.monte_carlo import sensitivity
from tfbp.judging.comparison import compare

MODES = {"eager": None, "graph": False, "xla": True}
# all modes in float64, both graphs in float32, the plain one in 16 bits; `make agree` has every dtype in every mode
CELLS = [
    *(("float64", mode) for mode in MODES),
    *(("float32", mode) for mode in ("graph", "xla")),
    *((dtype, "graph") for dtype in ("bfloat16", "float16")),
]


def compiled(function, mode):
    return function if MODES[mode] is None else tf.function(function, jit_compile=MODES[mode], autograph=False)


def tensor(array, dtype):
    return None if array is None else tf.constant(np.asarray(array).astype(numpy_dtype(dtype)))


def assert_agree(got, expected, tolerances, dtype):
    """Every tensor by name, or the first that does not."""
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        found = compare(name, got[name], value, tolerances[name], dtype)
        assert found.agrees, f"{found.tensor}: {found.ratio:.3g} of its tolerance; {found.mistake}"


def measured(run, units):
    """T of what run(on) gives by name, `on` put on each array: the reference's own sensitivity to rounding."""
    return sensitivity(lambda rounding: run(rounding.on), run(lambda array: array), units)
