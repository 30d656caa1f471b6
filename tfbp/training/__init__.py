"""Training loops that waste nothing: a block of steps as one compiled program."""

from tfbp.fitting import NonFinite as NonFinite
from tfbp.fitting import TerminateOnNaN as TerminateOnNaN
from tfbp.training.backup import BackupAndRestore as BackupAndRestore
from tfbp.training.local_workers import die_with_parent as die_with_parent
from tfbp.training.local_workers import is_local_worker as is_local_worker
from tfbp.training.local_workers import run_local_workers as run_local_workers
from tfbp.training.model import Model as Model
from tfbp.training.optimizers import OPTIMIZERS as OPTIMIZERS
from tfbp.training.optimizers import keras_optimizer as keras_optimizer
from tfbp.training.tensorboard import TensorBoard as TensorBoard
from tfbp.training.workers import multi_worker_strategy as multi_worker_strategy
