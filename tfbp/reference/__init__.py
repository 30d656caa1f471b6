"""The first writing: NumPy, float64, in the textbook's order. The truth that the other two are held against."""

from tfbp.reference import activations as activations
from tfbp.reference import chain as chain
from tfbp.reference import convolution as convolution
from tfbp.reference import dense as dense
from tfbp.reference import dropout as dropout
from tfbp.reference import losses as losses
from tfbp.reference import normalization as normalization
from tfbp.reference import per_example as per_example
from tfbp.reference import pooling as pooling
from tfbp.reference.backprop import forward as forward
from tfbp.reference.backprop import loss_and_gradients as loss_and_gradients
from tfbp.reference.backprop import loss_and_outputs as loss_and_outputs
from tfbp.reference.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors
