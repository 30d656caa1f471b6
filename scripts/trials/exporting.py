#!/usr/bin/env python3
"""Export every layer of tfbp.layers, and Keras's own, to SavedModel, LiteRT and ONNX, and run them without tfbp.

Each layer is one small model. The script exports it here, and runs the file in a process that never imports tfbp. The
table has the difference of the outputs, and the number of operations. ONNX needs tf2onnx, onnx and onnxruntime. LiteRT
uses ai-edge-litert if it is installed. The exit status is 0 if tfbp's file runs and agrees wherever Keras's does, 1
otherwise, 2 for bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

FORMATS = {"SavedModel": "tf_saved_model", "LiteRT": "litert", "ONNX": "onnx"}
FILES = {"SavedModel": "", "LiteRT": ".tflite", "ONNX": ".onnx"}
WORST = 1e-4
ROW, IMAGE, SEQUENCE, TOKENS = (6,), (6, 6, 4), (5, 6), (5,)
ATTENTION = {"num_heads": 2, "key_dim": 4}
GROUPS = {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}
# name: (class, arguments, the input's shape)
LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "Dense": ("Dense", {"units": 3, "activation": "relu"}, ROW),
    "Activation gelu": ("Activation", {"activation": "gelu"}, ROW),
    "Activation silu": ("Activation", {"activation": "silu"}, ROW),
    "ReLU": ("ReLU", {"max_value": 6.0}, ROW),
    "LeakyReLU": ("LeakyReLU", {}, ROW),
    "ELU": ("ELU", {}, ROW),
    "PReLU": ("PReLU", {"alpha_initializer": "random_normal"}, ROW),
    "Softmax": ("Softmax", {}, ROW),
    "Dropout": ("Dropout", {"rate": 0.5}, ROW),
    "Conv2D": ("Conv2D", {"filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"}, IMAGE),
    "DepthwiseConv2D": ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2}, IMAGE),
    "MaxPooling2D": ("MaxPooling2D", {}, IMAGE),
    "AveragePooling2D": ("AveragePooling2D", {"pool_size": 2}, IMAGE),
    "GlobalMaxPooling2D": ("GlobalMaxPooling2D", {}, IMAGE),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", {}, IMAGE),
    "BatchNormalization": ("BatchNormalization", {}, IMAGE),
    "LayerNormalization": ("LayerNormalization", {}, SEQUENCE),
    "RMSNormalization": ("RMSNormalization", {}, SEQUENCE),
    "GroupNormalization": ("GroupNormalization", {"groups": 2}, IMAGE),
    "SimpleRNN": ("SimpleRNN", {"units": 3}, SEQUENCE),
    "LSTM": ("LSTM", {"units": 3}, SEQUENCE),
    "LSTM sequences": ("LSTM", {"units": 3, "return_sequences": True}, SEQUENCE),
    "GRU": ("GRU", {"units": 3}, SEQUENCE),
    "MultiHeadAttention": ("MultiHeadAttention", ATTENTION, SEQUENCE),
    "GroupedQueryAttention": ("GroupedQueryAttention", GROUPS, SEQUENCE),
    "Embedding": ("Embedding", {"input_dim": 9, "output_dim": 4}, TOKENS),
    "ReversibleEmbedding": ("ReversibleEmbedding", {"input_dim": 9, "output_dim": 4}, TOKENS),
    "PositionEmbedding": ("PositionEmbedding", {"sequence_length": 9}, SEQUENCE),
    "RotaryEmbedding": ("RotaryEmbedding", {}, SEQUENCE),
    "LinearCrossEntropy": ("LinearCrossEntropy", {"units": 3}, SEQUENCE),
}


def main() -> int:
    if sys.argv[1:2] == ["--read"]:
        return read(Path(sys.argv[2]))
    from tfbp.console import options

    parser = options.Parser(__doc__)
    parser.add_argument("--layers", default=",".join(LAYERS), help="comma-separated (default: all)")
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"of {','.join(FORMATS)} (default: all)")
    return options.run(parser, export)


def export(arguments: argparse.Namespace) -> int:
    from tfbp.console import options

    names = options.choices("layers", arguments.layers, list(LAYERS))
    formats = options.choices("formats", arguments.formats, list(FORMATS))
    # the import of TensorFlow takes seconds: only from here on
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras

    from tfbp import layers

    with TemporaryDirectory() as folder:
        files = {}
        for number, name in enumerate(names):
            for room, whose in ((layers, "tfbp"), (keras.layers, "keras")):
                files[f"{name}|{whose}"] = exported(name, room, formats, Path(folder, f"{number}-{whose}"))
        Path(folder, "made.json").write_text(json.dumps(files))
        command = [sys.executable, os.fspath(Path(__file__).resolve()), "--read", folder]
        # where nothing leads to tfbp
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return 2
        found = json.loads(Path(folder, "found.json").read_text())
    return print_table(names, formats, found)


def exported(name: str, room: Any, formats: list[str], stem: Path) -> dict[str, Any]:
    """Returns the files of a layer's model by format, or the reason for none; and its input and output."""
    import keras
    import tensorflow as tf

    kind, given, shape = LAYERS[name]
    layer = getattr(room, "GroupQueryAttention" if room is keras.layers and kind.startswith("Grouped") else kind, None)
    if layer is None:
        return {}
    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape, dtype="int32" if shape == TOKENS else "float32")
    outputs = layer(**given)
    model = keras.Model(inputs, outputs(inputs, inputs) if "Attention" in kind else outputs(inputs))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (3, *shape)).astype("int32") if shape == TOKENS else rng.normal(size=(3, *shape))
    x = x if shape == TOKENS else x.astype("float32")
    # ONNX wants a model that was called once
    np.savez(f"{stem}.npz", x=x, y=model(x))
    files: dict[str, Any] = {"values": f"{stem}.npz"}
    for name_of_format in formats:
        path = f"{stem}{FILES[name_of_format] or '-saved'}"
        try:
            # of a batch of fixed size: with another a loop's lists are operations of TensorFlow's own
            fixed = {"input_signature": [tf.TensorSpec(x.shape, x.dtype)]} if name_of_format == "LiteRT" else {}
            model.export(path, format=FORMATS[name_of_format], verbose=False, **fixed)
            files[name_of_format] = path
        except Exception as error:
            files[name_of_format] = None
            files[f"{name_of_format} error"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"[:160]
    return files


def read(folder: Path) -> int:
    """Runs every file in a process without tfbp; writes its error and its number of operations."""
    contents = {}
    for key, files in json.loads((folder / "made.json").read_text()).items():
        if not files:
            continue
        values = np.load(files["values"])
        contents[key] = {}
        for kind in FORMATS:
            if kind not in files:
                continue
            try:
                if files[kind] is None:
                    raise RuntimeError(files[f"{kind} error"])
                y, operations = RUNNERS[kind](files[kind], values["x"])
                contents[key][kind] = [float(np.abs(y - values["y"]).max()), operations]
            except Exception as error:
                contents[key][kind] = f"{type(error).__name__}: {error}".splitlines()[0][:160]
    assert "tfbp" not in sys.modules
    contents["versions"] = {"keras": "", **{name: _version(name) for name in VERSIONS if find_spec(name)}}
    (folder / "found.json").write_text(json.dumps(contents))
    return 0


VERSIONS = ("tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "ai_edge_litert")


def _version(module: str) -> str:
    from importlib.metadata import version

    return version(module.replace("_", "-"))


def _saved_model(path: str, x: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    graph = loaded.serve.concrete_functions[0].graph
    return np.asarray(loaded.serve(x)), {"all": len(graph.get_operations())}


def _litert(path: str, x: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite import Interpreter
    interpreter = Interpreter(model_path=path)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(made["index"]), {"all": len(interpreter._get_ops_details())}


def _onnx(path: str, x: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    import onnx
    import onnxruntime

    nodes = [node.op_type for node in _nodes(onnx.load(path).graph)]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: x})[0]
    return y, {"all": len(nodes), **{kind: nodes.count(kind) for kind in ("LSTM", "GRU", "RNN", "Loop", "Erf")}}


def _nodes(graph: Any) -> list[Any]:
    """Returns all nodes, those inside of loops too."""
    inner = [node for each in graph.node for a in each.attribute if a.g.node for node in _nodes(a.g)]
    return [*graph.node, *inner]


RUNNERS = {"SavedModel": _saved_model, "LiteRT": _litert, "ONNX": _onnx}


def print_table(names: list[str], formats: list[str], found: dict[str, Any]) -> int:
    """Print the table; 1 where something of tfbp's fails that Keras's own does not."""
    print(", ".join(f"{name} {version}" for name, version in found.pop("versions").items() if version))
    row = "{:<24}" + "{:>32}" * len(formats)
    print(row.format("layer (tfbp / keras)", *formats))
    alike = True
    for name in names:
        cells = []
        for name_of_format in formats:
            ours, theirs = (found.get(f"{name}|{whose}", {}).get(name_of_format) for whose in ("tfbp", "keras"))
            cells.append(" / ".join(_cell(one) for one in (ours, theirs)))
            alike = alike and (_is_right(ours) or (not _is_right(theirs) and theirs is not None))
        print(row.format(name, *cells))
    for key, of_format in found.items():
        for each, result in of_format.items():
            if isinstance(result, str):
                print(f"{key.replace('|', ' of ')}, {each}: {result}")
    return 0 if alike else 1


def _is_right(result: Any) -> bool:
    return isinstance(result, list) and result[0] <= WORST


def _cell(result: Any) -> str:
    if result is None:
        return "-"
    if isinstance(result, str):
        return "fails"
    kinds = "".join(f" {count} {kind}" for kind, count in result[1].items() if count and kind != "all")
    return f"{result[0]:.0e} {result[1]['all']}{kinds}"


if __name__ == "__main__":
    sys.exit(main())
