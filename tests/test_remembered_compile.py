"""tfbp.fit knows the jit_compile of compile, in whatever order the two were imported; and Keras waits for its use."""

import subprocess
import sys

import pytest

FIRST = {
    "tfbp": "import tfbp, keras",
    "keras": "import keras, tfbp",
    "tfbp-alone": "import tfbp; assert 'keras' not in __import__('sys').modules; import keras",
    "fit": "import tfbp; tfbp.fit; import keras",
}
COMPILE = """
import numpy as np
from tfbp.fitting import worthwhile
worthwhile.pays = lambda size, steps: True  # of so few steps, too
for told in ("auto", False, True):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=told)
    history = tfbp.fit(model, np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    print(history.params["jit_compile"])
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
print(tfbp.fit(model, np.ones((4, 2)), np.ones((4, 1)), verbose=0).params["jit_compile"])
"""


@pytest.mark.sampled(7)
@pytest.mark.parametrize("imports", FIRST.values(), ids=FIRST)
def test_a_model_is_trained_as_it_was_compiled(imports):
    program = [sys.executable, "-c", f"{imports}\n{COMPILE}"]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert ran.stdout.split() == ["True", "False", "True", "True"], ran.stderr


def test_keras_is_found_as_without_it():
    from importlib.util import find_spec

    from tfbp import remembered_compile

    waiting = remembered_compile._UntilKeras()
    assert waiting.find_spec("keras") is None
    assert find_spec("keras.no_such_module") is None
