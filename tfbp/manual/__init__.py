"""The second writing: TensorFlow ops, every gradient coded by hand. No tape, ever."""

from tfbp.manual.backprop import forward as forward
from tfbp.manual.backprop import loss_and_gradients as loss_and_gradients
