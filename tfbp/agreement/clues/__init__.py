"""Clues for the diagnosis of each tensor of a network: its values under common mistakes.

The reference computes them in float64, only where a tensor disagrees.
B batch, I inputs, O outputs of a layer; x (B, I), kernel (I, O), z and y (B, O).
"""

from tfbp.agreement.clues.activations import activation_backward as activation_backward
from tfbp.agreement.clues.activations import activation_forward as activation_forward
from tfbp.agreement.clues.calls import of_a_call as of_a_call
from tfbp.agreement.clues.losses import loss_backward as loss_backward
from tfbp.agreement.clues.losses import loss_forward as loss_forward
from tfbp.agreement.clues.network import end_to_end as end_to_end
from tfbp.agreement.clues.network import local as local
