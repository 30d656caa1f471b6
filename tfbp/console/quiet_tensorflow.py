"""Import TensorFlow without its start-up chatter, which no log level silences (tensorflow/tensorflow#100442)."""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_stderr = os.dup(2)
with tempfile.TemporaryFile() as _chatter:
    os.dup2(_chatter.fileno(), 2)
    try:
        import tensorflow
    except Exception:  # Ctrl-C is none: it ends a command in one line
        _chatter.seek(0)
        os.write(_stderr, _chatter.read())
        raise
    finally:
        sys.stderr.flush()
        os.dup2(_stderr, 2)
        os.close(_stderr)

# check.py traces each of its many functions once, on purpose: no retracing to warn of
tensorflow.get_logger().setLevel("ERROR")
