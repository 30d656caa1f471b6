"""What a network is, in Keras's words: `Network`, and one module a kind of layer. No arithmetic, no TensorFlow."""

from tfbp.network.activation import ActivationLayer as ActivationLayer
from tfbp.network.chain import Node as Node
from tfbp.network.chain import Place as Place
from tfbp.network.chain import at as at
from tfbp.network.chain import is_part as is_part
from tfbp.network.chain import map_weights as map_weights
from tfbp.network.chain import named_weights as named_weights
from tfbp.network.chain import placed as placed
from tfbp.network.dense import Dense as Dense
from tfbp.network.initializers import Initializer as Initializer
from tfbp.network.layer import Layer as Layer
from tfbp.network.layer import kinds as kinds
from tfbp.network.network import Network as Network
from tfbp.network.network import Parameters as Parameters
from tfbp.network.residual import Residual as Residual
from tfbp.network.shapes import Flatten as Flatten
from tfbp.network.shapes import Reshape as Reshape
