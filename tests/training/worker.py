"""Run by test_workers.py as one of two workers: what it trains goes into a file, as JSON."""

import json
import os
import sys

import tensorflow as tf

from tfbp.training import BackupAndRestore, die_with_parent, multi_worker_strategy

die_with_parent()
# before anything else of TensorFlow
STRATEGY = multi_worker_strategy(float(sys.argv[3]))

import keras  # noqa: E402
import numpy as np  # noqa: E402

from tfbp import L1L2, Dense, InputError, Model, Network  # noqa: E402

INDEX = STRATEGY.cluster_resolver.task_id
RNG = np.random.default_rng(0)
X, LABELS, WEIGHT = RNG.normal(size=(70, 6)), RNG.integers(0, 3, 70), RNG.uniform(0.5, 2, 70)
NETWORK = Network(
    6, [Dense(8, "tanh", kernel_regularizer=L1L2(l2=1 / 128)), Dense(3)], "sparse_categorical_crossentropy"
)


class Vanish(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and INDEX == 1:
            os._exit(0)


def model_of(strategy):
    with strategy.scope():
        model = Model(NETWORK, seed=1, dtype="float64")
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        model.compile(optimizer, metrics=["accuracy"], steps_per_execution=2)
    return model


def train():
    """The same fit in two workers and alone; then what is refused."""
    results = {}
    for name, strategy in (("two", STRATEGY), ("one", tf.distribute.get_strategy())):
        model = model_of(strategy)
        # three batches of 16 and one of a single row, which leaves a worker without any
        fit = {"sample_weight": WEIGHT, "validation_split": 0.3, "batch_size": 16, "epochs": 3}
        results[f"{name} history"] = model.fit(X, LABELS, **fit, verbose=0).history
        results[f"{name} weights"] = [w.tolist() for w in model.get_weights()]
        results[f"{name} evaluate"] = model.evaluate(X, LABELS, batch_size=9, verbose=0)
        if name == "two":
            keep = BackupAndRestore(f"{sys.argv[2]}/backup", delete_checkpoint=False)
            model_of(STRATEGY).fit(X, LABELS, **{**fit, "epochs": 1}, verbose=0, callbacks=[keep])
            resumed = model_of(STRATEGY)
            results["resumed epochs"] = resumed.fit(X, LABELS, **fit, verbose=0, callbacks=[keep]).epoch
            results["resumed weights"] = [w.tolist() for w in resumed.get_weights()]
            acts = {
                "other arguments": lambda model=model: model.fit(X + INDEX, LABELS, epochs=3 + INDEX, verbose=0),
                "tf.data": lambda model=model: model.fit(tf.data.Dataset.from_tensors((X, LABELS)), verbose=0),
            }
            for what, act in acts.items():
                try:
                    act()
                except InputError as error:
                    results[what] = str(error)
    return results


def vanish():
    """Worker 1 is gone in the third epoch."""
    try:
        model_of(STRATEGY).fit(X, LABELS, epochs=10**6, verbose=0, callbacks=[Vanish()])
    except ConnectionError as error:
        return {"error": str(error)}
    return {}


found = {"train": train, "vanish": vanish}[sys.argv[1]]()
with open(f"{sys.argv[2]}/{INDEX}.json", "w") as file:
    json.dump(found, file)
    file.flush()
# TensorFlow would wait for a worker that is gone
os._exit(0)
