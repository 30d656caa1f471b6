"""Describes networks in Keras's words: `Network`, and one module for each kind of layer. No arithmetic."""

from tfbp.network.activation import ActivationLayer as ActivationLayer
from tfbp.network.chain import Node as Node
from tfbp.network.chain import Place as Place
from tfbp.network.chain import at as at
from tfbp.network.chain import is_part as is_part
from tfbp.network.chain import map_weights as map_weights
from tfbp.network.chain import named_weights as named_weights
from tfbp.network.chain import placed as placed
from tfbp.network.graph import Call as Call
from tfbp.network.graph import Graph as Graph
from tfbp.network.graph import Symbol as Symbol
from tfbp.network.initializers import Initializer as Initializer
from tfbp.network.input import Input as Input
from tfbp.network.kinds import is_known as is_known
from tfbp.network.kinds import kinds as kinds
from tfbp.network.kinds import known as known
from tfbp.network.kinds import register as register
from tfbp.network.kinds import registered as registered
from tfbp.network.kinds import writings_of as writings_of
from tfbp.network.layer import Layer as Layer
from tfbp.network.network import Network as Network
from tfbp.network.network import Parameters as Parameters
from tfbp.network.options import Options as Options
from tfbp.network.options import Private as Private
from tfbp.network.own_kinds import *  # noqa: F403  its __all__ has the kinds alone
from tfbp.network.setting import Setting as Setting
from tfbp.network.tokens import Tokens as Tokens

known(ActivationLayer)
