"""The second writing: TensorFlow ops, every gradient coded by hand. No tape, ever."""

from tfbp.manual import activations as activations
from tfbp.manual import chain as chain
from tfbp.manual import convolution as convolution
from tfbp.manual import dense as dense
from tfbp.manual import dropout as dropout
from tfbp.manual import losses as losses
from tfbp.manual import normalization as normalization
from tfbp.manual import per_example as per_example
from tfbp.manual import pooling as pooling
from tfbp.manual.backprop import forward as forward
from tfbp.manual.backprop import loss_and_gradients as loss_and_gradients
from tfbp.manual.backprop import loss_and_outputs as loss_and_outputs
from tfbp.manual.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors
