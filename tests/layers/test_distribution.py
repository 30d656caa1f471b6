"""Under a distribution strategy these layers end in the weights of Keras's own on one device.

TensorFlow takes its virtual devices before it starts, so each strategy runs in a process of its own: this file.
"""

import json
import os
import socket
import subprocess
import sys

import pytest

STEPS, BATCH = 5, 8


@pytest.mark.parametrize("how", ["MirroredStrategy-fit", "MirroredStrategy-loop", "MultiWorkerMirroredStrategy-loop"])
@pytest.mark.sampled(3)
def test_two_replicas_end_in_keras_s_weights(how):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    workers = 2 if how.startswith("MultiWorker") else 1
    addresses = [f"localhost:{port}" for port in free_ports(workers)]
    running = []
    for index in range(workers):
        if workers > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = [sys.executable, __file__, how]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, text=True, env=dict(environment), **pipes))
    try:
        for process in running:
            output, errors = process.communicate(timeout=180)
            assert process.returncode == 0, errors[-2000:]
            assert "2 replicas agree" in output
    finally:
        for process in running:
            process.kill()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run(how):
    import keras
    import numpy as np
    import tensorflow as tf

    from tfbp import layers

    name, manner = how.split("-")
    if name == "MirroredStrategy":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras.utils.set_random_seed(0)  # workers start from the same weights
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, 6)).astype("float32"), rng.integers(0, 3, STEPS * BATCH)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)

    def build(room):
        model = keras.Sequential([keras.Input((6,)), room.Dense(8, "relu"), room.PReLU(), room.Dense(3, "softmax")])
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
        return model

    theirs = build(keras.layers)
    with strategy.scope():
        ours = build(layers)
        ours.set_weights(theirs.get_weights())
    theirs.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    if manner == "fit":
        ours.fit(dataset, verbose=0)
    else:
        with strategy.scope():
            ours.optimizer.build(ours.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy(reduction="sum")

        @tf.function(jit_compile=False)
        def step(batch):
            def replica(x, y):
                with tf.GradientTape() as tape:
                    loss = loss_of(y, ours(x)) / BATCH
                variables = ours.trainable_variables
                ours.optimizer.apply(tape.gradient(loss, variables), variables)

            strategy.run(replica, args=batch)

        for batch in strategy.experimental_distribute_dataset(dataset):
            step(batch)
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    if manner == "fit":
        train_where_a_replica_gets_no_example(strategy)
    print(f"{strategy.num_replicas_in_sync} replicas agree")


def train_where_a_replica_gets_no_example(strategy):
    """The last batch has one row: as with Keras's layers under the same strategy, the other replica adds nothing.

    With tanh, because with relu Keras's own layer raises: oneDNN's convolution returns its input's sizes there.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from tfbp import layers

    rng = np.random.default_rng(1)
    rows = 2 * BATCH + 1
    x, y = rng.normal(size=(rows, 5, 5, 2)).astype("float32"), rng.normal(size=(rows, 2)).astype("float32")
    trained = []
    for room in (layers, keras.layers):
        with strategy.scope():
            keras.utils.set_random_seed(2)
            body = [room.DepthwiseConv2D(3, activation="tanh"), keras.layers.Flatten(), room.Dense(2)]
            model = keras.Sequential([keras.Input((5, 5, 2)), *body])
            model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        before = model.get_weights()
        history = model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH), epochs=2, verbose=0)
        trained.append((history.history["loss"], model.get_weights()))
        assert all(np.any(w != old) for w, old in zip(trained[-1][1], before, strict=True))
    np.testing.assert_allclose(trained[0][0], trained[1][0], rtol=1e-5)
    for got, expected in zip(trained[0][1], trained[1][1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


if __name__ == "__main__":
    run(sys.argv[1])
