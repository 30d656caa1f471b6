"""Layers of Keras's that are written by hand."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "graph",
        {
            "shared-layer-loses-its-first-statistics": ("graph_forward", "weights[call.layer] = {**weights[call.layer], **new_weights}", "pass", "new moving_mean of manual", ""),
            "upstream-not-handed-on": ("graph_backward", "dx if layer.takes_several else (dx,)", "dx if layer.takes_several else (dz if dz.shape == tensors[number]['x'].shape else dx,)", "layer 0 dy of manual", "handed past its kernel"),
            "a-layer-draws-once": ("graph_forward", "seed[1] + before", "seed[1] + min(before, call.layer)", "of manual", "drawn as if 1 fewer had been drawn before"),
            "a-layer-without-draws-counts": ("graph_forward", "seed[1] + before", "seed[1] + call.layer", "of manual", ""),
        },
    ),
    *of(
        "layers",
        "hand_written",
        {
            "logits-forgotten": ("_as_keras_s", "y._keras_logits = z", "pass", "logits of layers", "None"),
            "rank-3-axes": ("dense", "_as_rows(dz, outputs)", "_as_rows(dz, outputs)[:, ::-1]", "of layers", ""),
        },
    ),
    *of(
        "layers",
        "softmax",
        {
            "mask-ignored": ("Softmax.call", "tf.where(visible, softmax(tf.where(visible, inputs, lowest)), 0)", "softmax(inputs)", "Softmax axis -1 masked y of layers", "mask is ignored"),
        },
    ),
    *of(
        "tape",
        "graph",
        {
            "a-layer-draws-once": ("graph_forward", "seed[1] + before", "seed[1] + min(before, call.layer)", "of tape", "drawn as if 1 fewer had been drawn before"),
        },
    ),
    *of(
        "layers",
        "sequences",
        {
            "causal-zeros-without-dilation": ("_by_images", "rate * (kernel.shape[0] - 1)", "kernel.shape[0] - 1", "of layers", ""),
        },
    ),
]  # fmt: skip
