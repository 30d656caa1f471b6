"""The third writing: TensorFlow ops, forward only; tf.GradientTape differentiates."""

from tfbp.tape import activations as activations
from tfbp.tape import chain as chain
from tfbp.tape import convolution as convolution
from tfbp.tape import dense as dense
from tfbp.tape import dropout as dropout
from tfbp.tape import losses as losses
from tfbp.tape import normalization as normalization
from tfbp.tape import per_example as per_example
from tfbp.tape import pooling as pooling
from tfbp.tape.backprop import forward as forward
from tfbp.tape.backprop import loss_and_gradients as loss_and_gradients
from tfbp.tape.backprop import loss_and_outputs as loss_and_outputs
from tfbp.tape.backprop import loss_gradients_and_tensors as loss_gradients_and_tensors
