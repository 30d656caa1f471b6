"""All that fitting imports from the private modules of Keras and TensorFlow: an upgrade that moves one breaks here."""

from keras.src.backend.common import global_state as global_state
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer as TensorFlowTrainer
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter as ArrayDataAdapter
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable as convert_to_sliceable
from keras.src.trainers.trainer import model_supports_jit as model_supports_jit
from keras.src.utils.python_utils import pythonify_logs as pythonify_logs
from keras.src.utils.rng_utils import get_random_seed as get_random_seed
from tensorflow.python.client import device_lib as device_lib
