"""What the tests of the layers of images share: runs of manual and tape in a dtype and a mode, and planted mistakes."""

import re
import types
from pathlib import Path

import numpy as np
import tensorflow as tf

import tfbp
from tfbp.agreement.problems import numpy_dtype
from tfbp.judging.comparison import compare

MODES = {"eager": None, "graph": False, "xla": True}
# all modes in float64, both graphs in float32, the plain one in 16 bits; `make agree` has every dtype in every mode
CELLS = [
    *(("float64", mode) for mode in MODES),
    *(("float32", mode) for mode in ("graph", "xla")),
    *((dtype, "graph") for dtype in ("bfloat16", "float16")),
]
MANUAL = Path(tfbp.__file__).parent / "manual"


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


def wrong_tensors(got, expected, tolerances):
    return {name for name in expected if not compare(name, got[name], expected[name], tolerances[name]).agrees}


def planted(name, *changes):
    """tfbp.manual.<name>, and the module that moves its window, steps or chunks, texts exchanged, each found once."""
    helper = {"recurrent": "steps", "attention": "chunks"}.get(name, "window")
    sources = {each: (MANUAL / f"{each}.py").read_text() for each in (helper, name)}
    for right, wrong in changes:
        assert "".join(sources.values()).count(right) == 1, right
        sources = {each: source.replace(right, wrong) for each, source in sources.items()}
    moving = _module(helper, sources[helper])
    own = re.sub(rf"^from tfbp.manual(.{helper} import .*| import {helper})\n", "", sources[name], flags=re.MULTILINE)
    own = re.sub(rf"^(from tfbp.manual import \w+), {helper}$", r"\1", own, flags=re.MULTILINE)
    return _module(name, own, {**vars(moving), helper: moving})


def _module(name, source, names=()):
    module = types.ModuleType(f"planted_{name}")
    module.__dict__.update(names)
    exec(compile(source, f"planted {name}.py", "exec"), module.__dict__)
    return module
