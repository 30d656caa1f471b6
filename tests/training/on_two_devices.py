"""Run by test_distributed.py in a process of its own, because logical devices are made before TensorFlow starts.

Trains the same model on one device and on two, and prints what differs, as JSON.
"""

import json
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

import tfbp
from tfbp import L1L2, Dense, Model, Network, training

# TensorFlow's optimizer of graphs takes a fifth of the time: without --all it is off, as in the tests beside this
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": sys.argv[2] == "as traced"})
CPU = tf.config.list_physical_devices("CPU")[0]
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)), RNG.integers(0, 3, 70)
TARGETS = RNG.normal(size=(70, 2))
WEIGHT = RNG.uniform(0.5, 2, 70)
HIDDEN = Dense(8, "tanh", kernel_regularizer=L1L2(l1=1 / 256, l2=1 / 128))
CLASSIFIER = Network(6, [HIDDEN, Dense(3)], "sparse_categorical_crossentropy")
REGRESSION = Network(6, [HIDDEN, Dense(2, "softsign")], "huber")


# not all clip: a gradient that is clipped does not tell how long it was
def sgd():
    return keras.optimizers.SGD(0.1, momentum=0.9)


def clipped():
    return keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1)


def adamw():
    return keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.05, use_ema=True)


def model_of(
    strategy, network=CLASSIFIER, gradients="manual", optimizer=sgd, dtype=None, metrics=("accuracy",), xla=False
):
    with strategy.scope():
        model = Model(network, gradients, seed=1, dtype=dtype)
        model.compile(optimizer(), metrics=list(metrics), weighted_metrics=list(metrics), jit_compile=xla)
    return model


def in_arrays(y=LABELS, **options):
    def fit(model):
        return model.fit(X, y, **{"batch_size": 16, "epochs": 3, "verbose": 0, **options}).history

    return fit


def in_dataset(batch_size):
    def fit(model):
        data = tf.data.Dataset.from_tensor_slices((X, LABELS, WEIGHT)).batch(batch_size)
        return model.fit(data, epochs=2, verbose=0, shuffle=False, validation_data=data).history

    return fit


def with_callbacks(model):
    with tempfile.TemporaryDirectory() as directory:
        keep = training.BackupAndRestore(f"{directory}/backup", delete_checkpoint=False)
        history = in_arrays(epochs=1, callbacks=[keep])(model)
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        others = [
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10),
            keras.callbacks.EarlyStopping("loss", patience=3, min_delta=10),
            keras.callbacks.ModelCheckpoint(f"{directory}/model.keras"),
            training.TerminateOnNaN(),
        ]
        resumed = in_arrays(epochs=9, callbacks=[keep, *others])(model)
        loaded = keras.saving.load_model(f"{directory}/model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True))
    return {"first": history["loss"], "loss": resumed["loss"], "rate": resumed["learning_rate"]}


def statistics_of(model):
    with tempfile.TemporaryDirectory() as directory:
        curves = training.TensorBoard(directory, every=3)
        in_arrays(epochs=1, callbacks=[curves])(model)
        return curves.statistics((tf.constant(X[:16]), tf.constant(LABELS[:16])))[0].tolist()


# name: how the model is made, how it is trained
CASES = {
    "manual": ({"xla": True}, in_arrays(sample_weight=WEIGHT, validation_split=0.3)),
    "tape": ({"gradients": "tape", "optimizer": adamw}, in_arrays(sample_weight=WEIGHT)),
    "regression-float64": (
        {"network": REGRESSION, "dtype": "float64", "metrics": ["mae"]},
        in_arrays(TARGETS, sample_weight=WEIGHT, validation_data=(X[:25], TARGETS[:25], WEIGHT[:25])),
    ),
    "mixed_float16": ({"dtype": "mixed_float16", "optimizer": clipped}, in_arrays()),
    "a-replica-without-rows": ({"optimizer": clipped}, in_arrays(batch_size=23, class_weight={0: 2.0, 1: 0.5, 2: 1.0})),
    "tf.data": ({}, in_dataset(23)),
    "callbacks": ({}, with_callbacks),
}


def refused(strategy):
    """The sentences on wrong usage."""

    model = model_of(strategy)
    sgd = keras.optimizers.SGD
    acts = {
        "optimizer": lambda: model.compile(sgd(0.1)),
        "metrics": lambda: model.compile("sgd", metrics=[keras.metrics.MeanSquaredError()]),
        "accumulation": lambda: model_of(strategy, optimizer=lambda: sgd(gradient_accumulation_steps=2)),
        "ema": lambda: model_of(strategy, optimizer=lambda: sgd(use_ema=True, ema_overwrite_frequency=3)),
        "batch_size": lambda: model.fit(X, LABELS, batch_size=1),
    }
    sentences = {}
    for name, act in acts.items():
        try:
            act()
        except tfbp.InputError as error:
            sentences[name] = str(error)
    return sentences


def main(kind):
    if kind == "cpu":
        tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)
        two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        two = tf.distribute.MirroredStrategy()
    results = {"refused": refused(two)}
    for name, (options, fit) in CASES.items():
        one, both = model_of(tf.distribute.get_strategy(), **options), model_of(two, **options)
        expected, history = fit(one), fit(both)
        assert both.distribute_strategy.num_replicas_in_sync >= 2
        y = TARGETS if one.network is REGRESSION else LABELS
        weights = zip(one.get_weights(), both.get_weights(), strict=True)
        results[name] = {
            "steps": [int(model.optimizer.iterations.numpy()) for model in (one, both)],
            "expected": expected,
            "history": history,
            "weights": max(float(np.abs(a - b).max()) for a, b in weights),
            "evaluate": [model.evaluate(X, y, batch_size=9, verbose=0) for model in (one, both)],
            "evaluate by ones": [model.evaluate(X[:5], y[:5], batch_size=1, verbose=0) for model in (one, both)],
        }
    results["statistics"] = [statistics_of(model_of(each)) for each in (tf.distribute.get_strategy(), two)]
    results["predict"] = [model.predict(X, verbose=0).tolist() for model in (one, both)]
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
