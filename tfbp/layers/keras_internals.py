"""All that the layers import from private modules of Keras and TensorFlow: an upgrade that moves one breaks here."""

from keras.src.backend import get_keras_mask as get_keras_mask
from keras.src.backend import set_keras_mask as set_keras_mask
from keras.src.backend.tensorflow import random as random
from keras.src.backend.tensorflow.rnn import cudnn_ok as cudnn_ok
from keras.src.models.functional import Functional as Functional
from keras.src.saving.serialization_lib import SafeModeScope as SafeModeScope
from tensorflow.python.ops import control_flow_util as control_flow_util
from tensorflow.python.saved_model import save_context as save_context
