"""What private training takes of Keras's own modules, in one place: none of it is a promise of Keras's."""

from keras.src.backend import get_keras_mask as get_keras_mask
from keras.src.backend import set_keras_mask as set_keras_mask
from keras.src.trainers.trainer import model_supports_jit as model_supports_jit
