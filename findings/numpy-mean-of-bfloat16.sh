#!/usr/bin/env bash
# NumPy 2.4.6 with ml_dtypes 0.6.0: the mean of 1,000 ones in bfloat16 is 0.256.
#
# Sums of float16 are added up pairwise, and means of it in float32. A bfloat16 array, which TensorFlow and JAX return,
# is a foreign dtype for NumPy: it is added up one by one in bfloat16, where 256 + 1 is 256.
# Seen:
#    bfloat16: sum 256, mean 0.255859; float16: sum 1000, mean 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "numpy==2.4.6" "ml_dtypes==0.6.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import ml_dtypes
import numpy as np

found = [float(x) for t in (ml_dtypes.bfloat16, np.float16) for x in (np.ones(1000, t).sum(), np.ones(1000, t).mean())]
print("bfloat16: sum {:g}, mean {:g}; float16: sum {:g}, mean {:g}".format(*found))
sys.exit(0 if found == [256.0, 0.255859375, 1000.0, 1.0] else 1)
PYTHON
