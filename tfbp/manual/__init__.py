"""The second writing: TensorFlow ops, every gradient coded by hand. No tape, ever."""

from tfbp.manual import activation as activation
from tfbp.manual import activations as activations
from tfbp.manual import attention as attention
from tfbp.manual import bidirectional as bidirectional
from tfbp.manual import chain as chain
from tfbp.manual import convolution as convolution
from tfbp.manual import dense as dense
from tfbp.manual import dropout as dropout
from tfbp.manual import einsum as einsum
from tfbp.manual import embedding as embedding
from tfbp.manual import graph as graph
from tfbp.manual import kernels as kernels
from tfbp.manual import kinds as kinds
from tfbp.manual import linear_cross_entropy as linear_cross_entropy
from tfbp.manual import losses as losses
from tfbp.manual import masks as masks
from tfbp.manual import merge as merge
from tfbp.manual import noise as noise
from tfbp.manual import normalization as normalization
from tfbp.manual import padding as padding
from tfbp.manual import per_example as per_example
from tfbp.manual import pooling as pooling
from tfbp.manual import position as position
from tfbp.manual import rearranging as rearranging
from tfbp.manual import recurrent as recurrent
from tfbp.manual import residual as residual
from tfbp.manual import scaling as scaling
from tfbp.manual import sequences as sequences
from tfbp.manual import shapes as shapes
from tfbp.manual import transposed as transposed
from tfbp.manual import upsampling as upsampling
from tfbp.manual import volumes as volumes
from tfbp.manual.backprop import forward as forward
from tfbp.manual.backprop import loss_and_gradients as loss_and_gradients
from tfbp.manual.backprop import loss_and_last_tensors as loss_and_last_tensors
from tfbp.manual.backprop import loss_and_outputs as loss_and_outputs
from tfbp.manual.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors
from tfbp.manual.backprop import scaled_pass as scaled_pass

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
    kinds.PER_EXAMPLE.update(getattr(_file, "PER_EXAMPLE", {}))
kinds.WITH_LOSS.update(linear_cross_entropy.WITH_LOSS)
