"""Training loops that waste nothing: a block of steps as one compiled program."""

from tfbp.training.backup import BackupAndRestore as BackupAndRestore
from tfbp.training.model import Model as Model
from tfbp.training.non_finite import NonFinite as NonFinite
from tfbp.training.non_finite import TerminateOnNaN as TerminateOnNaN
from tfbp.training.optimizers import OPTIMIZERS as OPTIMIZERS
from tfbp.training.optimizers import keras_optimizer as keras_optimizer
from tfbp.training.run_directory import RunDirectory as RunDirectory
from tfbp.training.tensorboard import TensorBoard as TensorBoard
from tfbp.training.trainer import Trainer as Trainer
