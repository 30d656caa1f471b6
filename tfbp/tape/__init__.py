"""The third writing: TensorFlow ops, forward only; tf.GradientTape differentiates."""

from tfbp.tape.backprop import forward as forward
from tfbp.tape.backprop import loss_and_gradients as loss_and_gradients
