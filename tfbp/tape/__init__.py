"""The third writing: TensorFlow ops, forward only; tf.GradientTape differentiates."""

from tfbp.tape import activation as activation
from tfbp.tape import activations as activations
from tfbp.tape import attention as attention
from tfbp.tape import bidirectional as bidirectional
from tfbp.tape import chain as chain
from tfbp.tape import convolution as convolution
from tfbp.tape import dense as dense
from tfbp.tape import dropout as dropout
from tfbp.tape import einsum as einsum
from tfbp.tape import embedding as embedding
from tfbp.tape import graph as graph
from tfbp.tape import kinds as kinds
from tfbp.tape import linear_cross_entropy as linear_cross_entropy
from tfbp.tape import losses as losses
from tfbp.tape import masks as masks
from tfbp.tape import merge as merge
from tfbp.tape import noise as noise
from tfbp.tape import normalization as normalization
from tfbp.tape import padding as padding
from tfbp.tape import per_example as per_example
from tfbp.tape import pooling as pooling
from tfbp.tape import position as position
from tfbp.tape import rearranging as rearranging
from tfbp.tape import recurrent as recurrent
from tfbp.tape import residual as residual
from tfbp.tape import scaling as scaling
from tfbp.tape import sequences as sequences
from tfbp.tape import shapes as shapes
from tfbp.tape import transposed as transposed
from tfbp.tape import upsampling as upsampling
from tfbp.tape import volumes as volumes
from tfbp.tape.backprop import forward as forward
from tfbp.tape.backprop import loss_and_gradients as loss_and_gradients
from tfbp.tape.backprop import loss_and_last_tensors as loss_and_last_tensors
from tfbp.tape.backprop import loss_and_outputs as loss_and_outputs
from tfbp.tape.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors
from tfbp.tape.backprop import scaled_pass as scaled_pass

for _file in (
    activation,
    attention,
    bidirectional,
    convolution,
    dense,
    dropout,
    einsum,
    embedding,
    linear_cross_entropy,
    masks,
    merge,
    noise,
    normalization,
    padding,
    pooling,
    position,
    rearranging,
    recurrent,
    residual,
    scaling,
    sequences,
    shapes,
    transposed,
    upsampling,
    volumes,
):
    kinds.KINDS.update(_file.KINDS)
