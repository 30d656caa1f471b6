#!/usr/bin/env bash
# Opacus 1.6.0: make_private of a DataLoader with batches of 600 of 1,000 examples samples batches of 500.
#
# The sampling rate is one over the number of batches, which is rounded up: 2, and not 600 / 1,000. Steps, noise and epsilon are
# those of the rate that is used, consistently; but an experiment with a planned batch size runs another one.
# Seen, batch size asked, sampling rate, expected batch size:
#    256: 0.2500, 250; 300: 0.2500, 250; 600: 0.5000, 500
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.14.1" "opacus==1.6.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
examples = TensorDataset(torch.randn(1000, 3), torch.randn(1000, 1))
found = {}
for batch in (256, 300, 600):
    model = torch.nn.Linear(3, 1)
    _, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        data_loader=DataLoader(examples, batch_size=batch),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    found[batch] = (loader.batch_sampler.sample_rate, optimizer.expected_batch_size)
print("; ".join(f"{batch}: {rate:.4f}, {size}" for batch, (rate, size) in found.items()))
sys.exit(0 if found == {256: (0.25, 250), 300: (0.25, 250), 600: (0.5, 500)} else 1)
PYTHON
