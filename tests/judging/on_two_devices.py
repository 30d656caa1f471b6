"""Run by test_placement.py in a process of its own, because logical devices are made before TensorFlow starts.

Plants what runs somewhere else into a hand-coded backward, and prints what the harness says of each device and mode, as
JSON.
"""

import json

import tensorflow as tf

from tfbp import manual
from tfbp.agreement.cases import shape_cases
from tfbp.agreement.matrix import Cell, run_cell
from tfbp.agreement.report import complaints
from tfbp.agreement.suites.layers import layer_cases, run_layers
from tfbp.console import quiet_tensorflow  # noqa: F401  before anything else that imports TensorFlow
from tfbp.layers import hand_written

RIGHT = manual.dense.dense_backward


def backward_on(device):
    def planted(dz, residuals, **options):
        dx, dkernel, dbias = RIGHT(dz, residuals, **options)
        with tf.device(device):
            return dx, tf.nn.softplus(dkernel) * 0 + dkernel, dbias

    return planted


def said(device, mode):
    before = tf.config.get_soft_device_placement()
    manual.dense.dense_backward = hand_written.dense_backward = backward_on(device)
    network = complaints(run_cell(Cell(next(shape_cases()), "float32", mode)), [], [])
    layers = complaints([], run_layers(layer_cases()[:1], "float32", mode), [])
    return {"network": network, "layers": layers, "restored": before == tf.config.get_soft_device_placement()}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tried = (("/CPU:1", "eager"), ("/CPU:7", "eager"), ("/CPU:7", "graph"), ("/CPU:0", "graph"))
    print(json.dumps({f"{device} {mode}": said(device, mode) for device, mode in tried}))
