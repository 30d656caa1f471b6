"""fit, evaluate and predict of any compiled keras.Model: blocks of many steps in one program, data resident."""

from tfbp.fitting.fit import evaluate as evaluate
from tfbp.fitting.fit import fit as fit
from tfbp.fitting.fit import predict as predict
from tfbp.fitting.non_finite import NonFinite as NonFinite
from tfbp.fitting.non_finite import TerminateOnNaN as TerminateOnNaN
