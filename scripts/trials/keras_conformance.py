#!/usr/bin/env python3
"""Run Keras's own tests twice, once with tfbp's classes instead of Keras's, and compare.

The tests are part of the installed Keras. They check how a layer or a loop behaves, and few gradients;
`scripts/check.py` checks gradients. The exit status is 0 if every test that passes with Keras's classes passes with
tfbp's, 1 otherwise, 2 for bad input.

    --what layers    tfbp.layers for Keras's layers of these names, but LinearCrossEntropy: their tests (default)
    --what all       also those of Sequential, Functional, Model, trainers, TimeDistributed, Wrapper and saving: minutes
    --what fit       tfbp.fit, evaluate and predict for Model's: the tests of trainers
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

from tfbp.console import options
from tfbp.errors import check_choice

# name: the module that defines it, where its tests take it from there
LAYERS = {
    "Dense": "core.dense",
    "Activation": "activations.activation",
    "ELU": "activations.elu",
    "LeakyReLU": "activations.leaky_relu",
    "PReLU": "activations.prelu",
    "ReLU": "activations.relu",
    "Softmax": "activations.softmax",
    "Conv2D": "convolutional.conv2d",
    "DepthwiseConv2D": "convolutional.depthwise_conv2d",
    "MaxPooling2D": "pooling.max_pooling2d",
    "AveragePooling2D": "pooling.average_pooling2d",
    "GlobalMaxPooling2D": "pooling.global_max_pooling2d",
    "GlobalAveragePooling2D": "pooling.global_average_pooling2d",
    "BatchNormalization": "normalization.batch_normalization",
    "LayerNormalization": "normalization.layer_normalization",
    "RMSNormalization": "normalization.rms_normalization",
    "GroupNormalization": "normalization.group_normalization",
    "Dropout": "regularization.dropout",
    "Embedding": "core.embedding",
    "ReversibleEmbedding": "core.reversible_embedding",
    "SimpleRNN": "rnn.simple_rnn",
    "LSTM": "rnn.lstm",
    "GRU": "rnn.gru",
    "MultiHeadAttention": "attention.multi_head_attention",
    "GroupedQueryAttention": "attention.grouped_query_attention",
}
OF_IMAGES = (
    "layers/convolutional/conv_test.py",
    "layers/convolutional/depthwise_conv_test.py",
    *(f"layers/pooling/{kind}_pooling_test.py" for kind in ("max", "average", "global_max", "global_average")),
    *(f"layers/normalization/{kind}_normalization_test.py" for kind in ("batch", "layer", "rms", "group")),
    "layers/regularization/dropout_test.py",
)
OF_SEQUENCES = (
    "layers/core/embedding_test.py",
    "layers/core/reversible_embedding_test.py",
    *(f"layers/rnn/{kind}_test.py" for kind in ("simple_rnn", "lstm", "gru", "bidirectional")),
    *(f"layers/attention/{kind}_attention_test.py" for kind in ("multi_head", "grouped_query")),
)
TESTS = {
    "layers": ("layers/core/dense_test.py", "layers/activations", *OF_IMAGES, *OF_SEQUENCES),
    "all": (
        *("layers/core/dense_test.py", "layers/activations", *OF_IMAGES, *OF_SEQUENCES),
        "layers/core/wrapper_test.py",
        *("layers/rnn/time_distributed_test.py", "models", "trainers/trainer_test.py", "saving"),
    ),
    "fit": ("trainers/trainer_test.py",),
}


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--what", default="layers", help="layers, all or fit (default: layers)")
    parser.add_argument("--only", default="", help="only the files of tests with this in their path")
    return options.run(parser, conform)


def conform(arguments: argparse.Namespace) -> int:
    check_choice("what", arguments.what, TESTS)
    tests = tuple(options.part_of("only", arguments.only, TESTS[arguments.what]))
    with tempfile.TemporaryDirectory() as directory:
        ours = run("fit" if arguments.what == "fit" else "layers", tests, Path(directory))
        # if none fails there is nothing to compare: the skipped ones are another backend's
        theirs = ours if set(ours.values()) <= {"passed", "skipped"} else run("keras", tests, Path(directory))
    for file in sorted({test.partition("_test.")[0] + "_test" for test in theirs}):
        beside = "" if theirs is ours else f" (with Keras's own: {counts(theirs, file)})"
        print(f"{file}: {counts(ours, file)}{beside}")
    worse = [test for test, outcome in theirs.items() if outcome == "passed" != ours.get(test, "lost")]
    print(f"{len(ours)} tests; {len(worse)} fail that pass with Keras's own.", *worse, sep="\n")
    return 1 if worse or "passed" not in theirs.values() else 0


def counts(outcomes: dict[str, str], file: str) -> str:
    of_file = [outcome for test, outcome in outcomes.items() if test.startswith(f"{file}.")]
    return ", ".join(f"{of_file.count(word)} {word}" for word in ("passed", "failed", "skipped") if word in of_file)


def run(which: str, tests: tuple[str, ...], directory: Path) -> dict[str, str]:
    """Returns every test's outcome, in a process of its own."""
    source = Path(find_spec("keras").origin).parent / "src"
    report = directory / f"{which}.xml"
    # under importlib, Keras's tests import the installed package, not the files beside them
    options = ["-q", "--no-header", "--disable-warnings", "--import-mode=importlib", "-p", "no:cacheprovider"]
    options += ["-k", "not test_torch_"]  # another backend's, skipped here
    options += ["-c", os.devnull, "--rootdir", str(source), f"--junitxml={report}"]
    command = [sys.executable, __file__, "--as-pytest", which, *options, *(str(source / test) for test in tests)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    log = subprocess.run(command, cwd=directory, env=environment, check=False, stdout=subprocess.PIPE).stdout
    if not report.exists():
        sys.exit(log.decode()[-3000:])
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return outcomes


def as_pytest(which: str, options: list[str]) -> int:
    """Runs pytest in this process, with tfbp's classes wherever Keras's tests import Keras's own."""
    import keras
    import pytest
    from keras.src import api_export

    import tfbp
    from tfbp import layers
    from tfbp.bridge.layers import offered_as

    if find_spec("jax") is None:
        sys.modules["jax"] = ModuleType("jax")  # trainer_test.py imports it, and uses it on that backend alone
    if which == "fit":
        for name in ("fit", "evaluate", "predict"):
            setattr(keras.src.backend.tensorflow.trainer.TensorFlowTrainer, name, getattr(tfbp, name))
    if which == "layers":
        for name, place in LAYERS.items():
            # the tests of some take it from the module that defines it
            defining = import_module(f"keras.src.layers.{place}")
            offered = offered_as(name)
            for module, known in ((keras.layers, offered), (keras.src.layers, name), (defining, name)):
                setattr(module, known, getattr(layers, name))
            api_export.REGISTERED_NAMES_TO_OBJS[f"keras.layers.{offered}"] = getattr(layers, name)
    return pytest.main(options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-pytest"]:
        sys.exit(as_pytest(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
