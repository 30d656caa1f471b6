"""Max and average pooling, and both over the whole image, forward only: tf.GradientTape differentiates.

B batch, H and W the height and width of x, P and Q those of y, C channels; x (B, H, W, C), y (B, P, Q, C), or (B, C)
of pooling over the whole image. Of several largest, the first of a window has the gradient; over the whole image they
share it.
"""

import tensorflow as tf


def max_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    return tf.nn.max_pool2d(x, pool_size, strides or pool_size, padding.upper())


def average_pool2d_forward(x, *, pool_size=(2, 2), strides=None, padding="valid"):
    return tf.nn.avg_pool2d(x, pool_size, strides or pool_size, padding.upper())


def global_average_pool2d_forward(x):
    return tf.reduce_mean(x, axis=[1, 2])


def global_max_pool2d_forward(x):
    return tf.reduce_max(x, axis=[1, 2])


def global_average_pool1d_forward(x, *, keepdims=False):
    return tf.reduce_mean(x, axis=1, keepdims=keepdims)


def forward(layer, weights, x, *, training, seed):
    if layer.keras_name == "GlobalAveragePooling1D":
        return global_average_pool1d_forward(x, keepdims=layer.keepdims), {}
    if layer.keras_name in ("MaxPooling2D", "AveragePooling2D"):
        pool = max_pool2d_forward if layer.keras_name == "MaxPooling2D" else average_pool2d_forward
        return pool(x, pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding), {}
    y = global_max_pool2d_forward(x) if layer.keras_name == "GlobalMaxPooling2D" else global_average_pool2d_forward(x)
    return y[:, None, None, :] if layer.keepdims else y, {}
