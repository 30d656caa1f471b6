"""fit, evaluate and predict of any compiled keras.Model: blocks of many steps in one program, data resident."""

from tfbp.fitting.api import evaluate as evaluate
from tfbp.fitting.api import fit as fit
from tfbp.fitting.api import predict as predict
from tfbp.fitting.backup import BackupAndRestore as BackupAndRestore
from tfbp.fitting.non_finite import NonFinite as NonFinite
from tfbp.fitting.non_finite import TerminateOnNaN as TerminateOnNaN
