"""Imports TensorFlow without its start-up messages, which no log level turns off (tensorflow/tensorflow#100442)."""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_stderr = os.dup(2)
with tempfile.TemporaryFile() as _chatter:
    os.dup2(_chatter.fileno(), 2)
    try:
        import tensorflow
    except Exception:  # not Ctrl-C, which ends a command in one line
        _chatter.seek(0)
        os.write(_stderr, _chatter.read())
        raise
    finally:
        sys.stderr.flush()
        os.dup2(_stderr, 2)
        os.close(_stderr)

# check.py traces each of its many functions once, on purpose: no warning about retracing
tensorflow.get_logger().setLevel("ERROR")
