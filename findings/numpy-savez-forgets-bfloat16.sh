#!/usr/bin/env bash
# NumPy 2.4.6 with ml_dtypes 0.6.0: an array of bfloat16 comes back from np.savez as two raw bytes an element.
#
# The file's header has room for NumPy's own dtypes alone. It says V2, saving gives no warning, and arithmetic with what was
# loaded raises. `array.view(ml_dtypes.bfloat16)` restores it.
# Seen:
#    loaded dtype |V2; viewed as bfloat16 equal: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "numpy==2.4.6" "ml_dtypes==0.6.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import ml_dtypes
import numpy as np

weights, file = np.arange(3).astype(ml_dtypes.bfloat16), io.BytesIO()
np.savez(file, weights=weights)
file.seek(0)
loaded = np.load(file)["weights"]
equal = bool((loaded.view(ml_dtypes.bfloat16) == weights).all())
print(f"loaded dtype {loaded.dtype.str}; viewed as bfloat16 equal: {equal}")
sys.exit(0 if loaded.dtype.kind == "V" and equal else 1)
PYTHON
