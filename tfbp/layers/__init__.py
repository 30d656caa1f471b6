"""Keras layers whose backward is `tfbp.manual`, and that are Keras's own in every other way.

from tfbp import layers

model = keras.Sequential([keras.Input((784,)), layers.Dense(128, "relu"), layers.Dense(10, "softmax")])
"""

from tfbp.layers.activations import ELU as ELU
from tfbp.layers.activations import Activation as Activation
from tfbp.layers.activations import LeakyReLU as LeakyReLU
from tfbp.layers.activations import ReLU as ReLU
from tfbp.layers.dense import Dense as Dense
from tfbp.layers.linear_cross_entropy import LinearCrossEntropy as LinearCrossEntropy
from tfbp.layers.prelu import PReLU as PReLU
from tfbp.layers.softmax import Softmax as Softmax
