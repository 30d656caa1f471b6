"""The first writing: NumPy, float64, in the textbook's order. The other two are compared with it."""

from tfbp.reference import activation as activation
from tfbp.reference import activations as activations
from tfbp.reference import attention as attention
from tfbp.reference import bidirectional as bidirectional
from tfbp.reference import chain as chain
from tfbp.reference import convolution as convolution
from tfbp.reference import dense as dense
from tfbp.reference import dropout as dropout
from tfbp.reference import einsum as einsum
from tfbp.reference import embedding as embedding
from tfbp.reference import graph as graph
from tfbp.reference import kinds as kinds
from tfbp.reference import linear_cross_entropy as linear_cross_entropy
from tfbp.reference import losses as losses
from tfbp.reference import masks as masks
from tfbp.reference import merge as merge
from tfbp.reference import noise as noise
from tfbp.reference import normalization as normalization
from tfbp.reference import padding as padding
from tfbp.reference import per_example as per_example
from tfbp.reference import pooling as pooling
from tfbp.reference import position as position
from tfbp.reference import rearranging as rearranging
from tfbp.reference import recurrent as recurrent
from tfbp.reference import residual as residual
from tfbp.reference import scaling as scaling
from tfbp.reference import sequences as sequences
from tfbp.reference import shapes as shapes
from tfbp.reference import transposed as transposed
from tfbp.reference import upsampling as upsampling
from tfbp.reference import volumes as volumes
from tfbp.reference.backprop import forward as forward
from tfbp.reference.backprop import loss_and_gradients as loss_and_gradients
from tfbp.reference.backprop import loss_and_outputs as loss_and_outputs
from tfbp.reference.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors

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
